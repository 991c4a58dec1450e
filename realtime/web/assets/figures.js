/** How a run is doing: rates, gaps and latency, for the status line and for tests. */

/** Rates are those of the last so many milliseconds. */
const SPAN_MS = 2000;

/** Gaps and latencies that are summed up: 20 s at 30 a second. */
const KEPT = 600;

export class Figures {
  sent = 0;
  updates = 0;
  events = [];
  #sent_ms = []; // capture times of what was sent
  #gaps_ms = [];
  #latencies_ms = [];

  /** A frame went out. @param {number} t_ms  its capture time */
  noteSent(t_ms) {
    const last_ms = this.#sent_ms.at(-1);
    if (last_ms !== undefined) keep(this.#gaps_ms, t_ms - last_ms);
    keep(this.#sent_ms, t_ms);
    this.sent += 1;
  }

  /** An update is on the screen. @param {number} latency_ms  since the capture of its frame */
  noteDrawn(latency_ms) {
    keep(this.#latencies_ms, latency_ms);
  }

  /** Frames a second that were sent lately; null: too few. */
  get fps() {
    const since_ms = performance.now() - SPAN_MS;
    const recent = this.#sent_ms.filter((t_ms) => t_ms >= since_ms);
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

function keep(values, value) {
  values.push(value);
  if (values.length > KEPT) values.shift();
}

/** @returns {number | null} */
function quantile(values, share) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}
