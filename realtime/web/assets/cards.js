/** Caught micro-expressions, newest first, each with its clip in slow motion. */

import { make, setText } from "./dom.js";

/** Cards that are kept; older ones are only counted. */
const KEPT = 20;

const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

/** @typedef {{label: string, colour: string, mark: string, duration_ms: number, score: number,
 * onset_ms: number, elapsed_ms: number}} Card */

export class Cards {
  #parts = null;
  #total = 0;
  #media = new Map(); // by key of the event: where its clip goes

  /** Show all cards here.
   * @param {Record<string, HTMLElement>} parts  cards, count, empty, spoken */
  moveTo(parts) {
    parts.cards.replaceChildren(...(this.#parts?.cards.children ?? []));
    this.#parts = parts;
    this.#count();
  }

  /** Show one at the top. A known key changes nothing. @param {string} key  @param {Card} card */
  add(key, card) {
    if (this.#media.has(key)) return;
    const item = make("li", "kilas-card");
    item.style.setProperty("--k-class", card.colour);
    const media = make("div", "kilas-card-media");
    media.append(make("p", "", "Its clip is being made."));
    item.append(head(card), facts(card), media);
    this.#parts.cards.prepend(item);
    this.#media.set(key, media);
    this.#total += 1;
    this.#drop();
    this.#count();
    setText(this.#parts.spoken, `${card.label} caught`);
  }

  /** The clip of one is there. Addresses are null when there will be none.
   * @param {string} key  @param {string | null} video  @param {string | null} still */
  addClip(key, video, still) {
    const media = this.#media.get(key);
    if (!media || media.querySelector("video")) return;
    if (!video) {
      media.replaceChildren(make("p", "", "There is no clip of this one."));
      return;
    }
    for (const older of this.#parts.cards.querySelectorAll("video")) rest(older);
    media.replaceChildren(player(video, still));
  }

  #drop() {
    while (this.#media.size > KEPT) {
      const [oldest] = this.#media.keys();
      this.#media.get(oldest).parentNode.remove();
      this.#media.delete(oldest);
    }
  }

  #count() {
    const { cards, count, empty } = this.#parts;
    cards.hidden = this.#total === 0;
    empty.hidden = this.#total > 0;
    const rest = this.#total > KEPT ? ` caught, the last ${KEPT} shown` : "";
    setText(count, this.#total ? `${this.#total}${rest}` : "");
  }
}

/** @param {Card} card */
function head({ label, mark, duration_ms }) {
  const line = make("div", "kilas-card-head");
  const chip = make("span", "kilas-chip", mark);
  chip.setAttribute("aria-hidden", "true");
  line.append(chip, make("strong", "", label), make("span", "", `${Math.round(duration_ms)} ms`));
  return line;
}

/** @param {Card} card */
function facts({ score, onset_ms, elapsed_ms }) {
  const moment = new Date(performance.timeOrigin + onset_ms).toLocaleTimeString();
  const seconds = Math.floor(elapsed_ms / 1000);
  const elapsed = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  const line = make("p", "kilas-card-facts", `${moment} · score ${score.toFixed(2)}`);
  line.title = `${elapsed} after the start`;
  return line;
}

/** Only the newest clip plays by itself: many at once would take the time that the camera needs.
 * The one before shows its still again, unless the visitor is looking at it. */
function rest(video) {
  if (!video.autoplay || video.matches(":hover, :focus")) return;
  video.autoplay = false;
  video.load();
}

function player(video, still) {
  const element = document.createElement("video");
  element.src = video;
  if (still) element.poster = still;
  Object.assign(element, { muted: true, loop: true, controls: true, playsInline: true });
  element.preload = "metadata";
  element.autoplay = !calm.matches;
  element.setAttribute("aria-label", "The clip, in slow motion");
  return element;
}
