/**
 * Worker that encodes pictures as JPEG, sends them with their times, and passes on the server's
 * messages. It has no queue: at most one picture waits, and a newer picture replaces it.
 *
 * From the page: {type: "open", url}, {type: "tell", message}, {type: "shot", shot},
 * {type: "end"}. To the page: {type: "told", message}, {type: "sent"}, {type: "lost"},
 * {type: "ended", words}.
 */

import { Link } from "./socket.js";

/** Quality, 0 to 1. It changes the scores about as much as noise of one gray level does (a mean of
 * 0.013 and 0.012), and 0.98 with twice the bytes hardly less (0.012);
 * tests/benchmarks/bench_jpeg_quality.py. */
const JPEG_QUALITY = 0.9;

/** Frames that the server may owe an answer: enough for 200 ms there and back at 30 a second. */
const MAX_UNANSWERED = 6;

/** About six frames of 640 x 480; what the network cannot take waits as a picture, not here. */
const MAX_WAITING_BYTES = 256 * 1024;

/** A server that answers no frame for so long is taken for lost: the network may have gone
 * without a word. */
const SILENT_MS = 10_000;

const HEAD_BYTES = 20;
const LAST_NUMBER = 2 ** 32 - 1;

/** @typedef {import("./camera.js").Shot} Shot */

/** Makes JPEGs on a canvas that belongs to no page. */
class Encoder {
  #canvas = new OffscreenCanvas(1, 1);
  #context = this.#canvas.getContext("2d", { alpha: false });

  /** Closes the picture. @param {Shot} shot @returns {Promise<ArrayBuffer>} */
  async encode({ picture, width, height }) {
    if (this.#canvas.width !== width || this.#canvas.height !== height) {
      this.#canvas.width = width;
      this.#canvas.height = height;
    }
    try {
      this.#context.drawImage(picture, 0, 0, width, height);
    } finally {
      picture.close();
    }
    const blob = await this.#canvas.convertToBlob({ type: "image/jpeg", quality: JPEG_QUALITY });
    return blob.arrayBuffer();
  }
}

/** Sends the newest picture whenever the server and the network have room for one. */
class Sender {
  /** @param {Link} link */
  constructor(link) {
    this.#link = link;
  }

  #link;
  #encoder = new Encoder();
  #run = 0; // counts `start`s: a picture of an earlier run is not sent
  #is_on = false;
  #is_encoding = false;
  #waiting = null;
  #next_seq = 0;
  #answered_seq = -1;
  #heard_ms = 0;
  #replaced = 0;

  /** Begin a run; one that has begun goes on. */
  start() {
    if (this.#is_on) return;
    this.#run += 1;
    this.#is_on = true;
    this.#next_seq = 0;
    this.#answered_seq = -1;
    this.#replaced = 0;
  }

  stop() {
    this.#is_on = false;
    this.#waiting?.picture.close();
    this.#waiting = null;
  }

  /** Forget the frames under way when the connection was lost: they get no answer. */
  resume() {
    this.answered(this.#next_seq - 1);
  }

  /** @param {Shot} shot */
  take(shot) {
    if (!this.#is_on) {
      shot.picture.close();
      return;
    }
    if (this.#waiting !== null) {
      this.#waiting.picture.close();
      this.#replaced += 1;
    }
    this.#waiting = shot;
    const silent_ms = performance.now() - this.#heard_ms;
    if (this.#link.is_open && this.#unanswered && silent_ms > SILENT_MS) this.#link.renew();
    this.#send();
  }

  /** The server is done with all frames up to this one. @param {number} seq */
  answered(seq) {
    this.#answered_seq = Math.max(this.#answered_seq, seq);
    this.#heard_ms = performance.now();
    this.#send();
  }

  get #unanswered() {
    return this.#next_seq - 1 - this.#answered_seq;
  }

  async #send() {
    while (this.#waiting !== null && !this.#is_encoding && this.#has_room()) {
      const shot = this.#waiting;
      const run = this.#run;
      this.#waiting = null;
      this.#is_encoding = true;
      let jpeg;
      try {
        jpeg = await this.#encoder.encode(shot);
      } finally {
        this.#is_encoding = false;
      }
      if (run !== this.#run || !this.#is_on || !this.#link.is_open) continue;
      if (!this.#unanswered) this.#heard_ms = performance.now();
      this.#link.send(packed(jpeg, this.#next_seq, shot, this.#replaced));
      this.#next_seq += 1;
      postMessage({ type: "sent" });
    }
  }

  #has_room() {
    return (
      this.#link.is_open &&
      this.#unanswered < MAX_UNANSWERED &&
      this.#link.waiting_bytes < MAX_WAITING_BYTES
    );
  }
}

/** One frame as the protocol has it. @returns {ArrayBuffer} */
function packed(jpeg, seq, { t_ms, missed }, replaced) {
  const message = new ArrayBuffer(HEAD_BYTES + jpeg.byteLength);
  const head = new DataView(message, 0, HEAD_BYTES);
  head.setUint32(0, seq, true);
  head.setFloat64(4, t_ms, true);
  head.setUint32(12, Math.min(missed, LAST_NUMBER), true);
  head.setUint32(16, Math.min(replaced, LAST_NUMBER), true);
  new Uint8Array(message, HEAD_BYTES).set(new Uint8Array(jpeg));
  return message;
}

let link = null;
let sender = null;

function open(url) {
  if (typeof OffscreenCanvas === "undefined" || !OffscreenCanvas.prototype.convertToBlob) {
    postMessage({
      type: "ended",
      words: "This browser cannot make pictures in the background; update it or use another one.",
    });
    return;
  }
  link = new Link(url, {
    told: heard,
    lost: () => postMessage({ type: "lost" }),
    ended: (words) => {
      sender.stop();
      postMessage({ type: "ended", words });
    },
  });
  sender = new Sender(link);
}

function heard(message) {
  if (message.type === "update") sender.answered(message.seq);
  else if (message.type === "started") sender.start();
  else if (message.type === "stopped") sender.stop();
  else if (message.type === "welcome" && message.running) sender.resume();
  else if (message.type === "welcome") sender.stop();
  postMessage({ type: "told", message });
}

onmessage = ({ data }) => {
  if (data.type === "open") open(data.url);
  else if (data.type === "tell") link.send(data.message);
  else if (data.type === "shot" && sender) sender.take(data.shot);
  else if (data.type === "shot") data.shot.picture.close();
  else if (data.type === "end") sender?.stop();
};
