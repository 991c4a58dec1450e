/** The Live tab: connects camera, server and drawing whenever the tab is on the page. */

import { Shots, sizeToSend } from "./camera.js";
import { Cards } from "./cards.js";
import { FaceLines } from "./face_lines.js";
import { Panel } from "./panel.js";
import { Timeline } from "./timeline.js";
import { View } from "./view.js";
import { Visit } from "./visit.js";

const STATUS_MS = 500;

/** A camera that shows nothing for so long is told of; dark ones go down to 8 a second. */
const STILL_MS = 1500;

/** @implements {import("./visit.js").Listener} */
class Live {
  visit = new Visit(this);
  #view = null; // none until the page shows its place
  #lines = null;
  #panel = null;
  #timeline = null;
  #cards = new Cards();
  #shots = null;
  #is_due = false; // an update waits to be drawn

  constructor() {
    setInterval(() => this.#showStatus(), STATUS_MS);
    window.addEventListener("beforeunload", (event) => {
      if (this.visit.has_unsaved) event.preventDefault();
    });
    document.addEventListener("visibilitychange", () => {
      const is_back = !document.hidden && this.visit.phase === "running";
      if (is_back) this.#view?.notice("The monitor paused while this page was hidden.");
    });
  }

  /** True if the elements in use are on the page. */
  get is_attached() {
    return this.#view?.root.isConnected ?? false;
  }

  /** Use these elements from now on; the page may have made them anew. @param {HTMLElement} root */
  attach(root) {
    this.#timeline?.close();
    this.#view = new View(root);
    const { parts } = this.#view;
    this.#lines = new FaceLines(parts.lines);
    this.#panel = new Panel(parts.panel, parts.macro);
    this.#timeline = new Timeline(parts.timeline);
    this.#cards.moveTo(parts);
    this.#listen(parts);
    if (this.visit.scene) this.#panel.begin(this.visit.scene);
    if (this.visit.stream) this.#watch(this.visit.stream);
    this.changed();
  }

  #listen({ toggle, record, baseline, downloads, video }) {
    toggle.addEventListener("click", () => this.#toggle());
    record.addEventListener("click", () => this.visit.record(this.visit.recording !== "on"));
    baseline.addEventListener("click", () => this.visit.recalibrate());
    downloads.addEventListener("click", ({ target }) => this.visit.saved(target.dataset.name));
    video.addEventListener("resize", () => this.#fit());
  }

  // What the visit tells

  changed() {
    this.#view?.show(this.visit);
    if (this.visit.phase === "lost") this.#lines.clear();
    this.#showStatus();
  }

  camera(stream) {
    this.#shots?.close();
    this.#shots = stream && new Shots((shot) => this.visit.send(shot));
    this.#lines.clear();
    if (stream) this.#watch(stream);
    else this.#view.parts.video.srcObject = null;
  }

  begun() {
    this.#panel.begin(this.visit.scene);
    this.#lines.clear();
    this.#shots.restart();
  }

  updated() {
    if (this.#is_due) return;
    this.#is_due = true;
    requestAnimationFrame(() => this.#draw());
  }

  caught(event) {
    const { scene, started_ms, id } = this.visit;
    this.#view.flash(event, scene);
    this.#cards.add(`${id}/${event.id}`, {
      ...event,
      colour: scene.colours[event.label],
      mark: scene.marks[event.label],
      elapsed_ms: Math.max(0, event.onset_ms - started_ms),
    });
  }

  clip({ id, video, still }) {
    this.#cards.addClip(`${this.visit.id}/${id}`, video, still);
  }

  noticed(words) {
    this.#view.notice(words);
  }

  // What the visitor does

  #toggle() {
    const is_off = this.visit.phase === "idle" || this.visit.phase === "stopped";
    if (is_off) this.visit.start();
    else this.visit.stop();
  }

  // Drawing

  #draw() {
    this.#is_due = false;
    const { scene, heat_map, figures } = this.visit;
    if (!scene) return;
    this.#lines.draw(scene, heat_map);
    this.#panel.draw(scene, this.#view.parts.lines.width);
    this.#timeline.draw(scene);
    figures.noteDrawn(performance.now() - scene.now_ms);
  }

  #fit() {
    const { videoWidth, videoHeight } = this.#view.parts.video;
    if (!videoWidth) return;
    this.#view.shape(videoWidth, videoHeight);
    this.#lines.fit(sizeToSend(videoWidth, videoHeight));
  }

  async #watch(stream) {
    const { video } = this.#view.parts;
    video.srcObject = stream;
    this.#shots.follow(video);
    try {
      await video.play();
    } catch (error) {
      if (error.name !== "AbortError") throw error; // stopped before it began
    }
  }

  #showStatus() {
    const { phase } = this.visit;
    const is_still =
      phase === "running" &&
      this.#shots !== null &&
      performance.now() - this.#shots.seen_ms > STILL_MS;
    this.#view?.showStatus(this.visit, is_still);
  }
}

const live = new Live();

function look() {
  if (live.is_attached) return;
  const root = document.getElementById("kilas-live");
  if (root) live.attach(root);
}

look();
new MutationObserver(look).observe(document.documentElement, { childList: true, subtree: true });

/** For the controls beside the picture, and for tests. */
window.kilas = {
  start: () => live.is_attached && live.visit.start(),
  stop: () => live.visit.stop(),
  set: (values) => live.visit.set(values),
  figures: () => {
    const { figures } = live.visit;
    const { sent, updates, fps, gap_p95_ms, latency_median_ms, events, event_count } = figures;
    return { sent, updates, fps, gap_p95_ms, latency_median_ms, events, event_count };
  },
};
