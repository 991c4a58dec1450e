/** Statistics of a run: rates, gaps and latency, for the status line and for tests. */

/** Rates are those of the last so many milliseconds. */
const SPAN_MS = 2000;

/** Gaps and latencies that are summed up: 20 s at 30 a second. */
const KEPT = 600;

/** Events that are kept: more than the server repeats after a lost connection. */
const EVENTS_KEPT = 200;

/** Rates and gaps are those of the frames that went through the monitor, as its updates tell. */
export class Figures {
  /** Frames that went out. */
  sent = 0;
  updates = 0;
  /** The last ones, as the server told them. */
  events = [];
  /** All of the run. */
  event_count = 0;
  #seen_ms = []; // capture times of the frames that updates speak of
  #gaps_ms = [];
  #latencies_ms = [];

  /** A frame went through the monitor. @param {number} t_ms  its capture time */
  noteUpdate(t_ms) {
    const last_ms = this.#seen_ms.at(-1);
    if (last_ms !== undefined) keep(this.#gaps_ms, t_ms - last_ms, KEPT);
    keep(this.#seen_ms, t_ms, KEPT);
    this.updates += 1;
  }

  /** @param {object} event  as the server told it */
  noteEvent(event) {
    keep(this.events, event, EVENTS_KEPT);
    this.event_count += 1;
  }

  /** An update is on the screen. @param {number} latency_ms  since the capture of its frame */
  noteDrawn(latency_ms) {
    keep(this.#latencies_ms, latency_ms, KEPT);
  }

  /** Frames a second that were looked at lately; null: too few. */
  get fps() {
    const since_ms = performance.now() - SPAN_MS;
    const recent = this.#seen_ms.filter((t_ms) => t_ms >= since_ms);
    if (recent.length < 2) return null;
    return (1000 * (recent.length - 1)) / (recent.at(-1) - recent[0]);
  }

  get gap_p95_ms() {
    return quantile(this.#gaps_ms, 0.95);
  }

  get latency_median_ms() {
    return quantile(this.#latencies_ms, 0.5);
  }
}

function keep(values, value, most) {
  values.push(value);
  if (values.length > most) values.shift();
}

/** @returns {number | null} */
function quantile(values, share) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}
