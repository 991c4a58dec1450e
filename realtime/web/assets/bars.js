/** A bar for each label, with its score. */

import { make, setText } from "./dom.js";

/** Numbers that change faster cannot be read. */
const NUMBERS_MS = 100;

/** @typedef {{labels: string[], colours: Record<string, string>, marks: Record<string, string>}}
 * Classes  in the order of their scores */

export class Bars {
  /** @param {Classes} classes */
  constructor({ labels, colours, marks }) {
    this.#rows = labels.map((label) => row(label, colours[label], marks[label]));
  }

  #rows;
  #numbers_ms = -Infinity;

  /** To be put where they are to be seen, in the labels' order. */
  get lines() {
    return this.#rows.map(({ line }) => line);
  }

  /** @param {number[] | null} scores  null: there are none now */
  draw(scores) {
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
}

function row(label, colour, mark) {
  const line = make("div", "kilas-row");
  line.style.setProperty("--k-class", colour);
  const shape = make("span", "kilas-mark", mark);
  shape.setAttribute("aria-hidden", "true");
  const track = make("span", "kilas-track");
  const fill = make("i");
  track.append(fill);
  const number = make("span", "kilas-number", "–");
  line.append(shape, make("span", "", label), track, number);
  return { line, fill, number };
}
