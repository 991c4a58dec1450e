/** The visitor's camera: opens it, or explains why it cannot, and reads its pictures with times. */

/** A picture that the visitor sees at 640 x 480 shows the same expressions as a larger one, and
 * costs a quarter of its encoding. */
const WANTED = {
  audio: false,
  video: {
    width: { ideal: 640 },
    height: { ideal: 480 },
    frameRate: { ideal: 30 },
    facingMode: "user",
  },
};

/** Cameras that cannot do less have their pictures made smaller; the server takes up to 1920. */
const MAX_SIDE_PX = 1280;

/** The camera cannot be had. `message`: what happened; `remedy`: what to do about it. */
export class CameraFailure extends Error {
  /** @param {string} message @param {string} remedy */
  constructor(message, remedy) {
    super(message);
    this.remedy = remedy;
  }
}

const DENIED = [
  "The browser was not allowed to use the camera.",
  "Click the sign beside the page's address, allow the camera there, and press Start camera " +
    "again. If it is allowed already, look into the privacy settings of your computer or phone.",
];
const BUSY = [
  "The camera is in use by another program, or does not answer.",
  "Close video calls and other programs and tabs that show it, or unplug it and plug it in " +
    "again; then press Start camera.",
];

/** By name of the DOMException: what happened, and the remedy. */
const FAILURES = {
  NotAllowedError: DENIED,
  SecurityError: DENIED,
  NotFoundError: [
    "No camera was found.",
    "Connect one or switch it on, and press Start camera. A recorded video can be looked at in " +
      "the File tab.",
  ],
  NotReadableError: BUSY,
  AbortError: BUSY,
  OverconstrainedError: [
    "The camera cannot deliver a picture that can be used here.",
    "Choose another camera in the settings of the browser, and press Start camera again.",
  ],
};

/** Ask for the camera; the visitor may be asked by the browser. Throws CameraFailure.
 * @returns {Promise<MediaStream>} */
export async function openCamera() {
  if (!window.isSecureContext) {
    throw new CameraFailure(
      "Browsers give the camera to secure pages only, and this address is not one.",
      "Open the page by https://, or on the computer that runs it as http://localhost.",
    );
  }
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new CameraFailure(
      "This browser has no camera for web pages.",
      "Use a current Firefox, Chrome, Edge or Safari.",
    );
  }
  if (!("requestVideoFrameCallback" in HTMLVideoElement.prototype)) {
    throw new CameraFailure(
      "This browser is too old: it does not tell when a picture was taken.",
      "Update it, or use a current Firefox, Chrome, Edge or Safari.",
    );
  }
  try {
    return await navigator.mediaDevices.getUserMedia(WANTED);
  } catch (error) {
    const known = FAILURES[error.name];
    if (!known) throw error;
    throw new CameraFailure(...known);
  }
}

/** Turn the camera off. @param {MediaStream | null} stream */
export function closeCamera(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

/**
 * @typedef {object} Shot  One picture, to be closed by whoever takes it.
 * @property {VideoFrame | ImageBitmap} picture
 * @property {number} width   pixels in which it is to be sent
 * @property {number} height
 * @property {number} t_ms    capture time on the clock of performance.now(), strictly increasing
 * @property {number} missed  pictures since `restart` that the camera showed and nobody saw
 */

/** Follows the video element that shows the camera, picture by picture. */
export class Shots {
  /** @param {(shot: Shot) => void} take */
  constructor(take) {
    this.#take = take;
  }

  /** When the last picture came, on the clock of performance.now(). */
  seen_ms = -Infinity;

  #take;
  #video = null;
  #is_wanted = false;
  #is_copying = false;
  #presented = null; // metadata.presentedFrames of the last picture
  #missed = 0;
  #t_ms = -Infinity;

  /** @param {HTMLVideoElement} video  in place of the one before */
  follow(video) {
    this.#video = video;
    this.#presented = null;
    this.#wait(video);
  }

  /** Hand pictures on from now; counts from 0. */
  restart() {
    this.#missed = 0;
    this.#presented = null;
    this.#is_wanted = true;
  }

  close() {
    this.#is_wanted = false;
    this.#video = null;
  }

  #wait(video) {
    video.requestVideoFrameCallback((_, metadata) => {
      if (video !== this.#video) return;
      this.#wait(video);
      this.seen_ms = performance.now();
      if (this.#is_wanted) this.#see(metadata);
    });
  }

  /** @param {VideoFrameCallbackMetadata} metadata */
  #see(metadata) {
    if (this.#presented !== null) {
      this.#missed += Math.max(0, metadata.presentedFrames - this.#presented - 1);
    }
    this.#presented = metadata.presentedFrames;
    // Firefox does not tell when a picture was taken, but when it was handed to the screen, which
    // is as even. (The expected time of display is that of a later refresh.)
    const t_ms = metadata.captureTime ?? metadata.presentationTime;
    if (t_ms <= this.#t_ms) return; // shown twice
    const size = sizeToSend(metadata.width, metadata.height);
    if (typeof VideoFrame === "function") {
      this.#t_ms = t_ms;
      const picture = new VideoFrame(this.#video, { timestamp: Math.round(t_ms * 1000) });
      this.#take({ picture, ...size, t_ms, missed: this.#missed });
    } else {
      this.#copy(size, t_ms);
    }
  }

  /** For browsers without VideoFrame: a copy, which takes a while. */
  async #copy(size, t_ms) {
    if (this.#is_copying) {
      this.#missed += 1;
      return;
    }
    this.#is_copying = true;
    this.#t_ms = t_ms;
    try {
      const picture = await createImageBitmap(this.#video);
      this.#take({ picture, ...size, t_ms, missed: this.#missed });
    } finally {
      this.#is_copying = false;
    }
  }
}

/** Pixels in which a picture of the camera is sent. @param {number} width @param {number} height */
export function sizeToSend(width, height) {
  const scale = Math.min(1, MAX_SIDE_PX / Math.max(width, height));
  return { width: Math.round(width * scale), height: Math.round(height * scale) };
}
