/** What is known of one run and may be drawn: faces, their scores over time, events. */

/** Another face has to be this much larger to be the one whose scores are shown. */
const PRIMARY_MARGIN = 1.25;

/** Scores further apart than this, or than a window, were interrupted: no line joins them. */
const MIN_GAP_MS = 500;

/** @typedef {{t_ms: number, p: number[]}} Sample */

export class Scene {
  /** @param {object} started  the message with which a run begins */
  constructor(started) {
    this.labels = started.labels;
    this.colours = started.colours;
    this.marks = started.marks;
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
  #warming_since_ms = null;
  #primary_id = null;

  /** Take note of an update. */
  add(update) {
    this.now_ms = update.t_ms;
    this.faces = update.faces;
    this.status = update.status;
    for (const { face, t_ms, p } of update.scores) {
      if (!this.#traces.has(face)) this.#traces.set(face, []);
      this.#traces.get(face).push({ t_ms, p });
    }
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

  #choosePrimary() {
    if (!this.faces.length) return;
    const largest = this.faces.reduce((a, b) => (area(b) > area(a) ? b : a));
    const current = this.primary ?? largest;
    const chosen = area(largest) > PRIMARY_MARGIN * area(current) ? largest : current;
    this.#primary_id = chosen.id;
  }

  /** What is older than the timeline shows. */
  #forget() {
    const start_ms = this.now_ms - this.span_ms - this.gap_ms;
    for (const [face, trace] of this.#traces) {
      while (trace.length && trace[0].t_ms < start_ms) trace.shift();
      if (!trace.length) this.#traces.delete(face);
    }
    this.events = this.events.filter(({ offset_ms }) => offset_ms >= start_ms);
  }
}

function area({ box: [left, top, right, bottom] }) {
  return (right - left) * (bottom - top);
}
