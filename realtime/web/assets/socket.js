/** The socket to the server, which reconnects by itself when the connection is lost. */

/** Time that the server keeps a visit whose socket is gone. */
const RESUME_MS = 60_000;

/** Pauses before the attempts to come back; the last one is repeated. */
const BACKOFF_MS = [300, 700, 1500, 3000, 5000];

const PROTOCOL = 1;
const VIOLATION = 1008;
const TOO_LARGE = 1009;
const TOO_MANY = 1013;

/** Not one of the codes by which a page says goodbye: the visit goes on over another socket. */
const SILENT = 4000;

/**
 * One visit's connection. `told`: called with each message of the server. `lost`: the connection
 * is gone and is being tried again. `ended`: it is gone for good, with words why.
 */
export class Link {
  /** @param {string} url  @param {{told: (message: object) => void, lost: () => void,
   * ended: (words: string) => void}} listener */
  constructor(url, listener) {
    this.#url = url;
    this.#listener = listener;
    this.#connect();
  }

  #url;
  #listener;
  #socket = null;
  #visit = null;
  #is_welcome = false;
  #lost_ms = null;
  #attempts = 0;

  /** Bytes that wait to go out. */
  get waiting_bytes() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** True while messages can be sent. */
  get is_open() {
    return this.#is_welcome;
  }

  /** @param {object | ArrayBuffer} message  a message of the protocol, or a frame */
  send(message) {
    if (!this.#is_welcome) return;
    this.#socket.send(message instanceof ArrayBuffer ? message : JSON.stringify(message));
  }

  /** Give this connection up and make another; for one that does not answer any more. */
  renew() {
    const socket = this.#socket;
    this.#gone({ code: 1006, reason: "" });
    socket?.close(SILENT, "no answer came");
  }

  #connect() {
    const socket = new WebSocket(this.#url);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onopen = () => {
      socket.send(JSON.stringify({ type: "hello", protocol: PROTOCOL, visit: this.#visit }));
    };
    socket.onmessage = (event) => {
      if (socket === this.#socket) this.#heard(JSON.parse(event.data));
    };
    socket.onclose = (event) => {
      if (socket === this.#socket) this.#gone(event);
    };
  }

  #heard(message) {
    if (message.type === "welcome") {
      this.#visit = message.visit;
      this.#is_welcome = true;
      this.#lost_ms = null;
      this.#attempts = 0;
    }
    this.#listener.told(message);
  }

  /** @param {{code: number, reason: string}} event */
  #gone({ code, reason }) {
    const was_welcome = this.#is_welcome;
    this.#socket = null;
    this.#is_welcome = false;
    // Before the welcome, a refusal may only mean that the server has not noticed yet that the
    // socket before this one is gone.
    const is_refused = was_welcome || this.#visit === null;
    const words = is_refused ? refusal(code, reason) : "";
    this.#lost_ms ??= performance.now();
    if (words) {
      this.#listener.ended(words);
    } else if (this.#visit === null) {
      this.#listener.ended("The server does not answer; see that it still runs, and start again.");
    } else if (performance.now() - this.#lost_ms > RESUME_MS) {
      this.#listener.ended("The connection was lost and did not come back within a minute.");
    } else {
      this.#listener.lost();
      const pause_ms = BACKOFF_MS[Math.min(this.#attempts, BACKOFF_MS.length - 1)];
      this.#attempts += 1;
      setTimeout(() => this.#connect(), pause_ms);
    }
  }
}

/** Why the server closed the socket on purpose; empty when it did not. */
function refusal(code, reason) {
  if (code === TOO_MANY) return "Too many visitors are here now; try again in a while.";
  if (code !== VIOLATION && code !== TOO_LARGE) return "";
  return `The server ended the connection${reason ? `: ${reason}` : "."}`;
}
