"use strict";
// Draws of the scores what the shown time and the width of the page ask for.
(async () => {
  const views = await chartViews;
  const { tracks } = chartData;
  const setDrawn = () => { document.documentElement.dataset.timeline = "drawn"; };
  if (tracks.length === 0) return setDrawn();

  const bytes = (text) => {
    const binary = atob(text);
    const array = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) array[i] = binary.charCodeAt(i);
    return array.buffer;
  };
  for (const track of tracks) {
    track.t = new Float64Array(bytes(track.t));
    track.scores = new Float32Array(bytes(track.scores));
  }

  const [page] = Bokeh.documents;
  const time = page.get_model_by_name("time");

  const firstAtLeast = (times, value) => {
    let low = 0, high = times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] < value) low = middle + 1; else high = middle;
    }
    return low;
  };

  // Groups of neighbouring frames, as many as there are pixels; a hole ends a line.
  const grouped = (track, start, end, pixels) => {
    const { t, scores, lanes, fill, events } = track;
    const count = t.length;
    const from = Math.max(0, firstAtLeast(t, start) - 1);
    const to = Math.min(count, firstAtLeast(t, end) + 1);
    const size = Math.max(1, Math.ceil((to - from) / pixels));
    const hole = Math.max(track.hole_ms, (size * (end - start)) / Math.max(1, to - from));
    const data = { t: [], event: [] };
    for (let lane = 0; lane < lanes; lane++) {
      data[`mean${lane}`] = []; data[`high${lane}`] = []; data[`said${lane}`] = [];
    }
    const push = (first, last) => {
      data.t.push((t[first] + t[last]) / 2);
      const told = events.filter((one) => one.from <= t[last] && one.to >= t[first]);
      data.event.push(told.map((one) => one.text).join(", ") || "-");
      for (let lane = 0; lane < lanes; lane++) {
        let low = Infinity, high = -Infinity, sum = 0;
        for (let i = first; i <= last; i++) {
          const value = scores[lane * count + i];
          low = Math.min(low, value); high = Math.max(high, value); sum += value;
        }
        data[`mean${lane}`].push((sum / (last - first + 1)) * fill - lane);
        data[`high${lane}`].push(high * fill - lane);
        data[`said${lane}`].push(
          first === last ? high.toFixed(3) : `${low.toFixed(3)} to ${high.toFixed(3)}`);
      }
    };
    // Areas cannot end and begin again: without scores they lie flat.
    const cut = (...times) => {
      for (const at of times) {
        data.t.push(at); data.event.push("-");
        for (let lane = 0; lane < lanes; lane++) {
          data[`mean${lane}`].push(-lane); data[`high${lane}`].push(-lane);
          data[`said${lane}`].push("-");
        }
      }
    };
    // Groups begin at multiples of their size, so that they hold still while the chart is moved.
    for (let first = from - (from % size); first < to; ) {
      const stop = Math.min(count, first - (first % size) + size);
      let last = first;
      while (last + 1 < stop && t[last + 1] - t[last] <= hole) last++;
      push(first, last);
      if (last + 1 < count && t[last + 1] - t[last] > hole) cut(t[last], t[last + 1]);
      first = last + 1;
    }
    return data;
  };

  const TICK_PX = 90; // a time and some room
  const draw = () => {
    for (const plot of page.roots()) {
      const width = views.get(plot).el.clientWidth;
      plot.below[0].ticker.desired_num_ticks = Math.max(2, Math.round(width / TICK_PX));
    }
    for (const track of tracks) {
      const pixels = Math.max(200, document.getElementById(track.source).clientWidth);
      const data = grouped(track, time.start, time.end, pixels);
      page.get_model_by_name(track.source).data = data;
    }
  };
  let isWaiting = false;
  const drawSoon = () => {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => { isWaiting = false; draw(); });
  };
  time.change.connect(drawSoon);
  window.addEventListener("resize", drawSoon);
  draw();

  const [whole_start, whole_end] = time.bounds;
  const show = (start, end) => {
    const width = Math.min(whole_end - whole_start, Math.max(time.min_interval, end - start));
    const left = Math.min(Math.max(whole_start, (start + end - width) / 2), whole_end - width);
    time.setv({ start: left, end: left + width });
  };
  const moves = {
    whole: () => show(whole_start, whole_end),
    earlier: (width) => show(time.start - width / 2, time.end - width / 2),
    later: (width) => show(time.start + width / 2, time.end + width / 2),
    closer: (width) => show(time.start + width / 4, time.end - width / 4),
    further: (width) => show(time.start - width / 2, time.end + width / 2),
  };
  for (const button of document.querySelectorAll("[data-move]")) {
    button.addEventListener("click", () => moves[button.dataset.move](time.end - time.start));
  }
  for (const button of document.querySelectorAll("[data-from]")) {
    button.addEventListener("click", () => {
      show(Number(button.dataset.from), Number(button.dataset.to));
      document.getElementById("timeline").scrollIntoView({ behavior: "smooth" });
    });
  }
  // A finger that drags a chart would keep the page from being scrolled; the buttons move it.
  if (matchMedia("(pointer: coarse)").matches) {
    for (const view of views) {
      if (view.model.type === "PanTool") view.model.active = false;
    }
  }

  setDrawn();
})();
