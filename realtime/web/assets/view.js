/** The page around the picture: texts, buttons, status, downloads. */

import { make, setText } from "./dom.js";

/** An event is announced for so long: enough to read a word and two numbers. */
const FLASH_MS = 2000;

const NOTICE_MS = 5000;
const LOST = "The connection is lost. Trying again …";

/** @typedef {import("./visit.js").Visit} Visit */

export class View {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    /** @type {Record<string, any>} elements by their data-part */
    this.parts = {};
    for (const part of root.querySelectorAll("[data-part]")) this.parts[part.dataset.part] = part;
  }

  #timers = {};

  /** Show the visit's phase. @param {Visit} visit */
  show(visit) {
    this.#showCover(visit);
    this.#showButtons(visit);
    this.#showDownloads(visit);
    const { panel, strip, macro, rec } = this.parts;
    panel.hidden = strip.hidden = visit.scene === null;
    macro.hidden = !visit.scene?.macro;
    rec.hidden = visit.recording !== "on";
    this.parts["heat-key"].hidden = !(visit.heat_map && visit.scene?.has_attention);
    if (this.root.dataset.phase !== visit.phase) {
      this.notice(visit.phase === "lost" ? LOST : "", Infinity);
    }
    this.root.dataset.phase = visit.phase;
  }

  /** A short message over the picture. */
  notice(words, for_ms = NOTICE_MS) {
    setText(this.parts.notice, words);
    this.#showFor("notice", words ? for_ms : 0);
  }

  /** Announce an event. @param {object} event  @param {import("./scene.js").Scene} scene */
  flash({ label, duration_ms, score }, { colours, marks }) {
    const { flash } = this.parts;
    flash.style.setProperty("--k-class", colours[label]);
    flash.replaceChildren(
      make("span", "kilas-mark", marks[label]),
      make("span", "", label),
      make("small", "", `${Math.round(duration_ms)} ms · score ${score.toFixed(2)}`),
    );
    this.#showFor("flash", FLASH_MS);
  }

  /** @param {Visit} visit  @param {boolean} is_still  no picture comes from the camera */
  showStatus({ scene, figures, phase }, is_still) {
    const { status, warning } = this.parts;
    setText(status, scene ? statusWords(scene, figures).join(" · ") : "");
    const words = scene && phase === "running" ? scene.status.warning : "";
    const shown = is_still ? "no picture comes from the camera" : words;
    setText(warning, shown ? `▲ ${shown}` : "");
    warning.hidden = !shown;
  }

  /** The picture's own shape, also that of a phone that is held upright. */
  shape(width, height) {
    this.parts.picture.style.aspectRatio = `${width} / ${height}`;
  }

  #showFor(name, for_ms) {
    clearTimeout(this.#timers[name]);
    this.parts[name].hidden = for_ms === 0;
    if (Number.isFinite(for_ms) && for_ms > 0) {
      this.#timers[name] = setTimeout(() => (this.parts[name].hidden = true), for_ms);
    }
  }

  #showCover(visit) {
    const { cover, title, words, spinner } = this.parts;
    const [head, text] = coverWords(visit);
    cover.hidden = head === "";
    setText(title, head);
    setText(words, text);
    spinner.hidden = !["asking", "loading", "queued"].includes(visit.phase);
  }

  #showButtons({ phase, recording }) {
    const { toggle, record, baseline } = this.parts;
    const is_off = phase === "idle" || phase === "stopped";
    const is_on = phase === "running" || phase === "lost";
    setText(toggle, is_off ? "Start camera" : is_on ? "Stop camera" : "Cancel");
    record.disabled = phase !== "running" || recording === "finishing";
    const words = { off: "Record", on: "Stop recording", finishing: "Finishing …" };
    setText(this.parts["record-word"], words[recording]);
    baseline.disabled = phase !== "running";
  }

  #showDownloads({ downloads }) {
    const { downloads: list } = this.parts;
    for (const one of downloads.slice(list.children.length)) list.append(offer(one));
    downloads.forEach(({ name, url }, index) => {
      const item = list.children[index];
      if (url === null && item.querySelector("a")) {
        item.replaceChildren(`The server has removed recording ${name} with the visit it was of.`);
      }
    });
  }
}

/** A recording to be downloaded. */
function offer({ name, url, words }) {
  const item = make("li");
  const link = make("a", "", `Download recording ${name}`);
  link.href = url;
  link.download = "";
  link.dataset.name = name;
  item.append(link);
  if (words) item.append(make("p", "", words));
  return item;
}

/** Title and text in place of the picture; an empty title: the picture is shown.
 * @param {Visit} visit @returns {[string, string]} */
function coverWords({ phase, words, remedy, ahead }) {
  switch (phase) {
    case "idle":
      return [
        "See what crosses your face in a flash",
        "Start the camera, sit in even light and look at it. The picture goes to the computer " +
          "that runs this page and nowhere else; all of it is removed when you leave.",
      ];
    case "asking":
      return ["May this page use the camera?", "Answer the question of your browser."];
    case "loading":
      return ["Getting ready", "The model is being loaded."];
    case "queued":
      return [queueWords(ahead), "It starts by itself."];
    case "stopped":
      return [words, remedy || "Press Start camera to begin again."];
    default:
      return ["", ""];
  }
}

function queueWords(ahead) {
  if (ahead === 0) return "You are the next";
  return ahead === 1 ? "1 person is before you" : `${ahead} people are before you`;
}

/** @returns {string[]} */
function statusWords({ status, device }, { fps, latency_median_ms }) {
  const drops = Object.entries(status.drops).filter(([, count]) => count);
  const dropped = drops.reduce((sum, [, count]) => sum + count, 0);
  const causes = drops.map(([cause, count]) => `${cause} ${count}`).join(", ");
  return [
    fps === null ? "" : `${fps.toFixed(1)} pictures a second`,
    latency_median_ms === null ? "" : `${latency_median_ms.toFixed(0)} ms from camera to screen`,
    dropped ? `${dropped} dropped (${causes})` : "none dropped",
    device,
  ].filter(Boolean);
}
