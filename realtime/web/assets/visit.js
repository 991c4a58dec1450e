/** One visit to the monitor in the page: the visitor's settings, and the state of the run. */

import { CameraFailure, closeCamera, openCamera } from "./camera.js";
import { Figures } from "./run_stats.js";
import { Scene } from "./scene.js";

const SOCKET_PATH = "/kilas/socket";
const OWN_PATH = "/kilas/";

/** Settings that `start` and `set` of the protocol take. */
const SETTINGS = ["sensitivity", "classes", "heat_map", "model"];

const NO_WORKER =
  "The live monitor could not be loaded; see that the server still runs, and if so, update the " +
  "browser.";
const UNPLUGGED = "The camera was unplugged or switched off.";
const HIDDEN_REMEDY =
  "The camera pauses while this page is hidden; press Start camera to go on.";
const NO_ATTENTION = "This model cannot show where it looks.";
const NO_CAMERA_REMEDY = "Connect it again, and press Start camera.";
const BROKEN = "The camera could not be used.";
const BROKEN_REMEDY = "Load the page again, and press Start camera.";
const RECORDING_LOST = "The recording under way is lost with the connection.";

/**
 * @typedef {"idle" | "asking" | "loading" | "queued" | "running" | "lost" | "stopped"} Phase
 * `asking` for the camera; `loading` the model; `queued` for a place; `lost`: the connection is
 * gone and is being tried again; `stopped`: `words` say why, `remedy` what to do.
 *
 * @typedef {object} Listener
 * @property {() => void} changed  phase, words, recording or downloads
 * @property {(stream: MediaStream | null) => void} camera  it was opened or closed
 * @property {() => void} begun  a run has a new `scene`; pictures may be sent
 * @property {() => void} updated  the scene knows more
 * @property {(event: object) => void} caught
 * @property {(clip: object) => void} clip
 * @property {(words: string) => void} noticed
 */

export class Visit {
  /** @param {Listener} listener */
  constructor(listener) {
    this.#listener = listener;
  }

  /** @type {Phase} */
  phase = "idle";
  words = "";
  remedy = "";
  ahead = 0;
  /** @type {"off" | "on" | "finishing"} */
  recording = "off";
  /** `url` is null once the server has removed the recording.
   * @type {{name: string, url: string | null, words: string, is_saved: boolean}[]} */
  downloads = [];
  /** @type {MediaStream | null} */
  stream = null;
  /** @type {Scene | null} */
  scene = null;
  figures = new Figures();
  started_ms = 0;
  id = null;
  settings = { model: "kilas", classes: {} };

  #listener;
  #worker = null;
  #is_welcome = false;
  #is_wanted = false; // the visitor wants the monitor to run
  #is_stopping = false; // "stop" was said and not yet answered
  #told_settings = null; // what the run there was told; null: none was asked for

  get heat_map() {
    return this.settings.heat_map === true;
  }

  /** True if leaving the page loses a recording. */
  get has_unsaved() {
    return this.recording !== "off" || this.downloads.some(({ url, is_saved }) => url && !is_saved);
  }

  /** Open the camera and run the monitor. */
  async start() {
    if (this.#is_wanted) return;
    this.#is_wanted = true;
    this.#to("asking");
    try {
      const stream = await openCamera();
      if (!this.#is_wanted || this.stream) closeCamera(stream);
      else this.#use(stream);
    } catch (error) {
      const is_known = error instanceof CameraFailure;
      const [words, remedy] = is_known ? [error.message, error.remedy] : [BROKEN, BROKEN_REMEDY];
      if (this.#is_wanted) this.#end(words, remedy);
      if (!is_known) throw error;
    }
  }

  /** Close the camera and leave the monitor, or the queue for it. */
  stop() {
    if (!this.#is_wanted) return;
    if (this.#is_asked_for) this.#sayStop();
    this.#end("");
  }

  /** Change settings; they are kept for the next start. A new model restarts the run.
   * @param {{sensitivity?: number, classes?: Record<string, number>, heat_map?: boolean,
   * model?: string}} values */
  set(values) {
    const known = Object.entries(values).filter(([name]) => SETTINGS.includes(name));
    const { model = this.settings.model, ...changes } = Object.fromEntries(known);
    const is_same = model === this.settings.model;
    // Sensitivities of classes are those of one model.
    const classes = is_same ? this.settings.classes : {};
    this.settings = { ...this.settings, classes, ...changes, model };
    this.#tellSettings();
    if (is_same && changes.heat_map && this.scene?.has_attention === false) {
      this.#listener.noticed(NO_ATTENTION);
    }
    this.#listener.changed();
  }

  record(on) {
    this.#tell({ type: "record", on });
  }

  recalibrate() {
    this.#tell({ type: "recalibrate" });
  }

  /** @param {import("./camera.js").Shot} shot */
  send(shot) {
    if (this.#worker) this.#worker.postMessage({ type: "shot", shot }, [shot.picture]);
    else shot.picture.close(); // the connection ended while it was copied
  }

  /** @param {string} name  of a recording that the visitor has taken home */
  saved(name) {
    for (const one of this.downloads) if (one.name === name) one.is_saved = true;
  }

  /** True if a run was requested that can take messages, now or soon. */
  get #is_asked_for() {
    return this.#is_welcome && this.#told_settings !== null && !this.#is_stopping;
  }

  // The camera

  #use(stream) {
    this.stream = stream;
    stream.getVideoTracks()[0].addEventListener("ended", () => {
      if (this.stream !== stream) return;
      this.stop();
      this.#to("stopped", UNPLUGGED, NO_CAMERA_REMEDY);
    });
    this.#listener.camera(stream);
    this.#to("loading");
    if (this.#is_welcome) this.#begin();
    else if (!this.#worker) this.#connect();
  }

  #to(phase, words = "", remedy = "") {
    Object.assign(this, { phase, words, remedy });
    this.#listener.changed();
  }

  /** Nothing runs any more; with words why, unless the visitor wanted it. */
  #end(words, remedy = "") {
    this.#is_wanted = false;
    this.scene = null;
    closeCamera(this.stream);
    this.stream = null;
    this.#listener.camera(null);
    this.#to(words ? "stopped" : "idle", words, remedy);
  }

  // The server

  #connect() {
    try {
      this.#worker = new Worker(new URL("encoder_worker.js", import.meta.url), { type: "module" });
    } catch (error) {
      if (!(error instanceof TypeError) && !(error instanceof DOMException)) throw error;
      this.#end(NO_WORKER);
      return;
    }
    this.#worker.onerror = () => this.#cutOff(NO_WORKER);
    this.#worker.onmessage = ({ data }) => this.#heard(data);
    const url = new URL(SOCKET_PATH, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.#worker.postMessage({ type: "open", url: url.href });
  }

  #tell(message) {
    this.#worker?.postMessage({ type: "tell", message });
  }

  #begin() {
    if (this.#is_stopping) return; // its answer begins
    this.#told_settings = this.settings;
    this.#tell({ type: "start", ...this.settings });
  }

  /** Tell what differs from what was told; another model needs another run. */
  #tellSettings() {
    if (!this.#is_asked_for) return;
    if (this.settings.model !== this.#told_settings.model) {
      this.#sayStop();
      return;
    }
    const settings = Object.entries(this.settings);
    const changes = settings.filter(([name, value]) => value !== this.#told_settings[name]);
    this.#told_settings = this.settings;
    if (changes.length) this.#tell({ type: "set", ...Object.fromEntries(changes) });
  }

  #sayStop() {
    this.#is_stopping = true;
    this.#worker.postMessage({ type: "end" });
    this.#tell({ type: "stop" });
  }

  #heard(data) {
    if (data.type === "sent") this.figures.sent += 1;
    else if (data.type === "told") this.#told(data.message);
    else if (data.type === "lost") this.#lost();
    else if (data.type === "ended") this.#cutOff(data.words);
  }

  #lost() {
    this.#is_welcome = false;
    this.#is_stopping = false;
    // The last words may be lost with the connection.
    const model = this.#told_settings?.model;
    this.#told_settings = model === undefined ? null : { model };
    if (this.#is_wanted && this.phase !== "asking") this.#to("lost");
  }

  #cutOff(words) {
    this.#is_welcome = false;
    this.#is_stopping = false;
    this.#told_settings = null;
    this.#worker.terminate();
    this.#worker = null;
    const is_recording_lost = this.#forgetFiles();
    if (this.#is_wanted) this.#end(words);
    else this.#listener.changed();
    if (is_recording_lost) this.#listener.noticed(RECORDING_LOST);
  }

  /** The visit is over, and its files with it. Returns whether a recording was under way. */
  #forgetFiles() {
    const is_recording_lost = this.recording !== "off";
    this.recording = "off";
    for (const one of this.downloads) one.url = null;
    return is_recording_lost;
  }

  #told(message) {
    switch (message.type) {
      case "update":
        this.#updated(message);
        break;
      case "welcome":
        this.#welcome(message);
        break;
      case "queued":
        this.ahead = message.ahead;
        if (this.#is_wanted && !this.#is_stopping) this.#to("queued");
        break;
      case "started":
        this.#started(message);
        break;
      case "event":
        this.#caught(message);
        break;
      case "clip":
        this.#listener.clip(withOwnPaths(message, ["video", "still"]));
        break;
      case "recording":
        this.#recorded(withOwnPaths(message, ["url"]));
        break;
      case "notice":
        this.#listener.noticed(message.words);
        break;
      case "stopped":
        this.#stopped(message.why);
        break;
    }
  }

  /** @param {{visit: string, running: boolean, recording: boolean}} message */
  #welcome({ visit, running, recording }) {
    this.#is_welcome = true;
    if (!running) this.#told_settings = null;
    const is_recording_lost = visit !== this.id && this.#forgetFiles();
    this.id = visit;
    this.recording = recording ? "on" : "off";
    if (running && this.scene) {
      this.#to("running");
      this.#tellSettings();
    } else {
      // A run of before a stop that the server has not heard; its answer begins anew.
      if (running) this.#sayStop();
      if (this.#is_wanted && this.stream) {
        this.#to("loading");
        this.#begin();
      }
      this.#listener.changed();
    }
    if (is_recording_lost) this.#listener.noticed(RECORDING_LOST);
  }

  #started(message) {
    if (this.#is_stopping) return;
    if (!this.#is_wanted) {
      this.#sayStop();
      return;
    }
    this.scene = new Scene(message);
    this.figures = new Figures();
    this.started_ms = performance.now();
    this.#listener.begun();
    this.#to("running");
  }

  #updated(update) {
    if (!this.scene || this.#is_stopping) return;
    this.scene.add(update);
    this.figures.noteUpdate(update.t_ms);
    this.#listener.updated();
  }

  #caught(event) {
    if (!this.scene || this.figures.events.some(({ id }) => id === event.id)) return;
    this.scene.addEvent(event);
    const { type: _, ...facts } = event;
    this.figures.noteEvent(facts);
    this.#listener.caught(event);
  }

  #recorded({ state, name, url, words }) {
    this.recording = state === "on" || state === "finishing" ? state : "off";
    if (words && state !== "ready") this.#listener.noticed(words);
    if (state === "ready" && !this.downloads.some((one) => one.name === name)) {
      this.downloads.push({ name, url, words: words ?? "", is_saved: false });
    }
    this.#listener.changed();
  }

  /** @param {string | null} why */
  #stopped(why) {
    if (this.#is_stopping) {
      this.#is_stopping = false;
      this.#told_settings = null;
      if (!this.#is_wanted || !this.stream) return;
      this.#to("loading");
      this.#begin();
    } else if (this.#is_wanted && (why !== null || this.phase === "running")) {
      // It may be an earlier run of which this came late, over a new connection; a stop ends both.
      this.#sayStop();
      const remedy = document.hidden ? HIDDEN_REMEDY : "";
      this.#end(why ?? "The server has stopped the monitor.", remedy);
    }
  }
}

/** The message without addresses that are not this server's own. */
function withOwnPaths(message, names) {
  const own = { ...message };
  for (const name of names) if (!own[name]?.startsWith(OWN_PATH)) own[name] = null;
  return own;
}
