/** State word and a bar for each class. */

import { make, setText } from "./page.js";

/** Numbers that change faster cannot be read. */
const NUMBERS_MS = 100;

/** The panel does not change sides more often than this. */
const HOLD_MS = 1000;

/** @typedef {import("./scene.js").Scene} Scene */

export class Panel {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
  }

  #root;
  #state = null;
  #warming = null;
  #rows = [];
  #numbers_ms = -Infinity;
  #moved_ms = -Infinity;

  /** @param {Scene} scene  the run that begins */
  begin(scene) {
    this.#state = make("span", "", "no face");
    this.#warming = make("i");
    this.#rows = scene.labels.map((label) => row(label, scene));
    const head = make("p", "kilas-state");
    head.append(this.#state);
    const warming = make("div", "kilas-warming");
    warming.append(this.#warming);
    this.#root.replaceChildren(head, warming, ...this.#rows.map(({ line }) => line));
    this.#numbers_ms = -Infinity;
  }

  /** @param {Scene} scene  @param {number} width  of the picture, pixels */
  draw(scene, width) {
    const state = scene.primary?.state ?? "no face";
    const lively = state === "expression" || state === "macro" ? "yes" : "no";
    setText(this.#state, state);
    if (this.#state.parentNode.dataset.lively !== lively) {
      this.#state.parentNode.dataset.lively = lively;
    }
    const is_warming = state === "warming up";
    this.#warming.style.transform = `scaleX(${is_warming ? scene.warmth.toFixed(2) : 0})`;
    this.#drawBars(scene);
    this.#place(scene, width);
  }

  #drawBars({ scores }) {
    const now_ms = performance.now();
    const with_numbers = now_ms - this.#numbers_ms >= NUMBERS_MS;
    if (with_numbers) this.#numbers_ms = now_ms;
    const highest = scores ? Math.max(...scores) : Infinity;
    this.#rows.forEach(({ line, fill, number }, index) => {
      const score = scores?.[index] ?? 0;
      fill.style.transform = `scaleX(${score.toFixed(3)})`;
      if (!with_numbers) return;
      setText(number, scores ? score.toFixed(2) : "–");
      const top = score === highest ? "yes" : "no";
      if (line.dataset.top !== top) line.dataset.top = top;
    });
  }

  /** To the other side when the face is behind it. The picture is seen in a mirror. */
  #place({ primary, now_ms }, width) {
    if (!primary || now_ms - this.#moved_ms < HOLD_MS) return;
    const [left, , right] = primary.box;
    const room_left = width - right;
    const room_right = left;
    const is_right = this.#root.dataset.side === "right";
    const [here, there] = is_right ? [room_right, room_left] : [room_left, room_right];
    if (here < 0.3 * width && there > 1.5 * here + 0.05 * width) {
      this.#root.dataset.side = is_right ? "left" : "right";
      this.#moved_ms = now_ms;
    }
  }
}

/** @param {string} label  @param {Scene} scene */
function row(label, { colours, marks }) {
  const line = make("div", "kilas-row");
  line.style.setProperty("--k-class", colours[label]);
  const mark = make("span", "kilas-mark", marks[label]);
  mark.setAttribute("aria-hidden", "true");
  const track = make("span", "kilas-track");
  const fill = make("i");
  track.append(fill);
  const number = make("span", "kilas-number", "–");
  line.append(mark, make("span", "", label), track, number);
  return { line, fill, number };
}
