/** The state of the face, its micro-expression scores, and its macro-expression scores. */

import { Bars } from "./bars.js";
import { make, setText } from "./dom.js";

/** The panel does not change sides more often than this. */
const HOLD_MS = 1000;

/** @typedef {import("./scene.js").Scene} Scene */

export class Panel {
  /** @param {HTMLElement} root  over the picture  @param {HTMLElement} macro_root  below it, for
   * macro-expressions */
  constructor(root, macro_root) {
    this.#root = root;
    this.#macro_root = macro_root;
  }

  #root;
  #macro_root;
  #state = null;
  #warming = null;
  #bars = null;
  #macro_bars = null; // none where macro-expressions are not scored
  #moved_ms = -Infinity;

  /** @param {Scene} scene  the run that begins */
  begin(scene) {
    const { macro } = scene;
    this.#state = make("span", "", "no face");
    this.#warming = make("i");
    this.#bars = new Bars(scene);
    this.#macro_bars = macro && new Bars(macro);
    const head = make("p", "kilas-state");
    head.append(...(macro ? [heading("micro", "lets slip")] : []), this.#state);
    const warming = make("div", "kilas-warming");
    warming.append(this.#warming);
    this.#root.replaceChildren(head, warming, ...this.#bars.lines);
    if (macro) {
      const macro_heading = heading("macro", "shows, smoothed");
      this.#macro_root.replaceChildren(macro_heading, ...this.#macro_bars.lines);
    }
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
    this.#bars.draw(scene.scores);
    this.#macro_bars?.draw(scene.macro_scores);
    this.#place(scene, width);
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

/** @param {string} word  @param {string} meaning  of these scores, in a visitor's words */
function heading(word, meaning) {
  const line = make("span", "kilas-heading");
  line.append(make("strong", "", word), ` ${meaning}`);
  return line;
}
