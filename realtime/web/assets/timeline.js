/** The last seconds of the face that is shown: a curve for each class, a band for each event, and
 * below them what the face showed most as a whole. */

/** Finer than two pixels of the screen to one of the page is not seen. */
const MAX_SCALE = 2;

/** Redrawn no more often than this; faster scrolling is not smoother to the eye, but costs. */
const REDRAW_MS = 60;

const PAD_PX = 12;
const WORDS_PX = 22; // for the events' words above the plot
const AXIS_PX = 18;
const MACRO_PX = 14; // at the lower edge: the highest macro-expression
const MACRO_LINE_PX = 3;
const FONT = "12px system-ui, sans-serif";
const PALE = "#dcdcdc";
const GRID = "rgb(255 255 255 / 22%)";
const BAND_OPACITY = 0.3;

/** @typedef {import("./scene.js").Scene} Scene */

export class Timeline {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.#sizes = new ResizeObserver(([{ contentRect }]) => this.#resize(contentRect));
    this.#sizes.observe(canvas);
  }

  #canvas;
  #context;
  #sizes;
  #width = 0; // pixels of the page
  #height = 0;
  #macro_px = 0;
  #drawn_ms = -Infinity;

  close() {
    this.#sizes.disconnect();
  }

  /** Draw if it is time to. @param {Scene} scene */
  draw(scene) {
    const now_ms = performance.now();
    if (now_ms - this.#drawn_ms < REDRAW_MS || !this.#width) return;
    this.#drawn_ms = now_ms;
    this.#macro_px = scene.macro ? MACRO_PX : 0;
    const context = this.#context;
    context.clearRect(0, 0, this.#width, this.#height);
    this.#drawAxis(scene);
    this.#drawEvents(scene);
    scene.labels.forEach((label, index) => this.#drawCurve(scene, label, index));
    if (scene.macro) this.#drawMacro(scene);
  }

  #resize({ width, height }) {
    const scale = Math.min(MAX_SCALE, window.devicePixelRatio);
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    this.#context.setTransform(scale, 0, 0, scale, 0, 0);
    this.#context.font = FONT;
    this.#width = width;
    this.#height = height;
    this.#drawn_ms = -Infinity;
  }

  get #bottom() {
    return this.#height - AXIS_PX - this.#macro_px;
  }

  #x(scene, t_ms) {
    const share = 1 - (scene.now_ms - t_ms) / scene.span_ms;
    return PAD_PX + share * (this.#width - 2 * PAD_PX);
  }

  #y(probability) {
    return this.#bottom - probability * (this.#bottom - WORDS_PX);
  }

  #drawAxis({ span_ms }) {
    const context = this.#context;
    const [left, right] = [PAD_PX, this.#width - PAD_PX];
    const seconds = span_ms / 1000;
    context.fillStyle = GRID;
    context.fillRect(left, this.#y(0.5), right - left, 1);
    context.fillRect(left, this.#bottom, right - left, 1);
    for (let second = 0; second <= seconds; second += 1) {
      context.fillRect(left + ((right - left) * second) / seconds, this.#bottom - 3, 1, 3);
    }
    context.fillStyle = PALE;
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.fillText(`${seconds} s ago`, left, this.#bottom + AXIS_PX / 2);
    context.textAlign = "right";
    context.fillText("now", right, this.#bottom + AXIS_PX / 2);
  }

  /** Newest first: where two words would meet, the newer one is written. */
  #drawEvents(scene) {
    const context = this.#context;
    context.textAlign = "left";
    let free_until = this.#width - PAD_PX;
    for (const event of scene.primary_events.toReversed()) {
      const left = Math.max(PAD_PX, this.#x(scene, event.onset_ms));
      const right = this.#x(scene, event.offset_ms);
      if (right < PAD_PX) continue;
      const colour = scene.colours[event.label];
      context.fillStyle = colour;
      context.globalAlpha = BAND_OPACITY;
      context.fillRect(left, WORDS_PX, right - left, this.#bottom - WORDS_PX);
      context.globalAlpha = 1;
      context.fillRect(left, WORDS_PX - 2, Math.max(2, right - left), 2);
      const mark = `${scene.marks[event.label]} `;
      const mark_px = context.measureText(mark).width;
      const words_px = mark_px + context.measureText(event.label).width;
      const words_left = Math.min(left, this.#width - PAD_PX - words_px);
      if (words_left + words_px > free_until) continue;
      context.fillText(mark, words_left, WORDS_PX / 2);
      context.fillStyle = "#ffffff";
      context.fillText(event.label, words_left + mark_px, WORDS_PX / 2);
      free_until = words_left - PAD_PX;
    }
  }

  /** A mark and a line for each stretch of time; their words stand beside the bars below. */
  #drawMacro(scene) {
    const context = this.#context;
    const middle = this.#height - MACRO_PX / 2;
    context.textAlign = "left";
    for (const { label, start_ms, end_ms } of scene.macro_stretches) {
      let left = Math.max(PAD_PX, this.#x(scene, start_ms));
      const right = this.#x(scene, end_ms) - 1;
      context.fillStyle = scene.macro.colours[label];
      if (right - left >= MACRO_PX) {
        context.fillText(scene.macro.marks[label], left, middle);
        left += MACRO_PX;
      }
      const top = middle - MACRO_LINE_PX / 2;
      if (right > left) context.fillRect(left, top, right - left, MACRO_LINE_PX);
    }
  }

  #drawCurve(scene, label, index) {
    const context = this.#context;
    let last_ms = -Infinity;
    context.beginPath();
    for (const { t_ms, p } of scene.trace) {
      const x = this.#x(scene, t_ms);
      if (x >= PAD_PX) {
        if (t_ms - last_ms > scene.gap_ms) context.moveTo(x, this.#y(p[index]));
        else context.lineTo(x, this.#y(p[index]));
        last_ms = t_ms;
      }
    }
    context.strokeStyle = scene.colours[label];
    context.lineWidth = label === scene.none ? 1 : 1.5;
    context.stroke();
  }
}
