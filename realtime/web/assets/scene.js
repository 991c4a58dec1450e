/** Data of one run for drawing: faces, their scores over time, events. */

/** Another face has to be this much larger to be the one whose scores are shown. */
const PRIMARY_MARGIN = 1.25;

/** Scores further apart than this, or than a window, were interrupted: no line joins them. */
const MIN_GAP_MS = 500;

/** Macro scores come twice a second and hold between; later ones were interrupted. */
const MACRO_HELD_MS = 1000;

/** @typedef {{t_ms: number, p: number[]}} Sample */

export class Scene {
  /** @param {object} started  the message with which a run begins */
  constructor(started) {
    this.labels = started.labels;
    this.colours = started.colours;
    this.marks = started.marks;
    /** @type {import("./bars.js").Classes | null} null: macro-expressions are not scored */
    this.macro = started.macro;
    this.none = started.none;
    this.span_ms = started.timeline_s * 1000;
    this.window_ms = (1000 * started.frames) / started.rate_hz;
    this.gap_ms = Math.max(MIN_GAP_MS, this.window_ms);
    this.device = started.device;
    this.has_attention = started.has_attention;
  }

  now_ms = -Infinity;
  faces = [];
  events = [];
  status = { fps_in: null, fps_scored: null, drops: {}, warning: "" };
  /** @type {Map<number, Sample[]>} scores by face, the oldest first */
  #traces = new Map();
  #macro_traces = new Map();
  #warming_since_ms = null;
  #primary_id = null;

  /** Take note of an update. */
  add(update) {
    this.now_ms = update.t_ms;
    this.faces = update.faces;
    this.status = update.status;
    keep(this.#traces, update.scores);
    keep(this.#macro_traces, update.macro);
    this.#choosePrimary();
    const is_warming = this.primary?.state === "warming up";
    this.#warming_since_ms = is_warming ? (this.#warming_since_ms ?? this.now_ms) : null;
    this.#forget();
  }

  addEvent(event) {
    if (!this.events.some(({ id }) => id === event.id)) this.events.push(event);
  }

  /** The face whose scores are shown; null: none is seen. */
  get primary() {
    return this.faces.find(({ id }) => id === this.#primary_id) ?? null;
  }

  /** Scores of the face that is shown, or was shown last. */
  get trace() {
    return this.#traces.get(this.#primary_id) ?? [];
  }

  /** The macro scores of the face that is shown; null: there are none now. */
  get macro_scores() {
    const newest = this.#macro_trace.at(-1);
    if (!this.primary || !newest) return null;
    return this.now_ms - newest.t_ms < MACRO_HELD_MS ? newest.p : null;
  }

  /** Strongest macro-expressions of that face with their times, the oldest first.
   * @returns {{label: string, start_ms: number, end_ms: number}[]} */
  get macro_stretches() {
    const stretches = [];
    for (const { t_ms, p } of this.#macro_trace) {
      const label = this.macro.labels[p.indexOf(Math.max(...p))];
      const last = stretches.at(-1);
      if (last) last.end_ms = Math.min(last.end_ms, t_ms);
      if (last?.label === label && last.end_ms === t_ms) last.end_ms = t_ms + MACRO_HELD_MS;
      else stretches.push({ label, start_ms: t_ms, end_ms: t_ms + MACRO_HELD_MS });
    }
    if (stretches.length) {
      stretches.at(-1).end_ms = Math.min(stretches.at(-1).end_ms, this.now_ms);
    }
    return stretches;
  }

  /** Events of that face. */
  get primary_events() {
    return this.events.filter(({ face }) => face === this.#primary_id);
  }

  /** The newest probabilities of the face that is shown; null: there are none now. */
  get scores() {
    const newest = this.trace.at(-1);
    const face = this.primary;
    if (!face || face.state === "warming up" || !newest) return null;
    return this.now_ms - newest.t_ms < this.gap_ms ? newest.p : null;
  }

  /** The likeliest class that is not `none`; null without scores. */
  get top_label() {
    const scores = this.scores;
    if (!scores) return null;
    const indices = this.labels.map((_, index) => index);
    const classes = indices.filter((index) => this.labels[index] !== this.none);
    return this.labels[classes.reduce((a, b) => (scores[b] > scores[a] ? b : a))];
  }

  /** 0 to 1: how much of the first window has been seen. */
  get warmth() {
    if (this.#warming_since_ms === null) return 1;
    return Math.min(1, (this.now_ms - this.#warming_since_ms) / this.window_ms);
  }

  get #macro_trace() {
    return this.#macro_traces.get(this.#primary_id) ?? [];
  }

  #choosePrimary() {
    if (!this.faces.length) return;
    const largest = this.faces.reduce((a, b) => (area(b) > area(a) ? b : a));
    const current = this.primary ?? largest;
    const chosen = area(largest) > PRIMARY_MARGIN * area(current) ? largest : current;
    this.#primary_id = chosen.id;
  }

  /** Drop data older than the timeline shows. */
  #forget() {
    const start_ms = this.now_ms - this.span_ms - this.gap_ms;
    forget(this.#traces, start_ms);
    forget(this.#macro_traces, start_ms - MACRO_HELD_MS);
    this.events = this.events.filter(({ offset_ms }) => offset_ms >= start_ms);
  }
}

/** @param {Map<number, Sample[]>} traces  @param {object[]} scores  of an update */
function keep(traces, scores) {
  for (const { face, t_ms, p } of scores) {
    if (!traces.has(face)) traces.set(face, []);
    traces.get(face).push({ t_ms, p });
  }
}

/** @param {Map<number, Sample[]>} traces  @param {number} start_ms  of what is kept */
function forget(traces, start_ms) {
  for (const [face, trace] of traces) {
    while (trace.length && trace[0].t_ms < start_ms) trace.shift();
    if (!trace.length) traces.delete(face);
  }
}

function area({ box: [left, top, right, bottom] }) {
  return (right - left) * (bottom - top);
}
