// Two pictures of what ran: a dot for each run, and how many ended how in each bucket of time.
"use strict";
(() => {
  const KINDS = ["finished", "failed", "aborted", "running", "queued"];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const charts = new Map();
  let windowSec = 3600;

  function frame(box, options, data) {
    const old = charts.get(box.id);
    if (old) old.destroy();
    if (!data[0].length) data = data.map((_, i) => (i ? [null] : [Date.now() / 1000]));
    const plot = new uPlot({ width: box.clientWidth - 16, height: box.clientHeight - 12, cursor: { drag: { x: false, y: false } }, legend: { show: false }, ...options }, data, box);
    charts.set(box.id, plot);
  }
  const axis = (more) => ({ stroke: colour("faint"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: "11px system-ui", ...more });

  const short = (seconds) => (seconds < 1 ? `${Math.round(seconds * 1000)} ms` : seconds < 60 ? `${Math.round(seconds)} s` : seconds < 3600 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`);
  const two = (number) => String(number).padStart(2, "0");
  /** Hours and minutes; the day where it begins. */
  function clock(_, ticks) {
    return ticks.map((each) => {
      const at = new Date(each * 1000);
      const midnight = !at.getHours() && !at.getMinutes();
      return midnight ? at.toLocaleDateString(undefined, { month: "short", day: "numeric" }) : `${two(at.getHours())}:${two(at.getMinutes())}`;
    });
  }

  /** Always the whole period, however little happened in it. */
  function span() {
    const now = Date.now() / 1000;
    return [now - windowSec, now];
  }
  /** Of a logarithmic axis: whole powers of ten only. */
  const powers = (_, ticks) => ticks.map((each) => (Number.isInteger(Math.log10(each)) ? each : null));

  function scatter(box, points) {
    const series = [{}], data = [[]];
    points.sort((a, b) => a.at - b.at);
    data[0] = points.map((each) => each.at);
    for (const kind of KINDS) {
      series.push({ stroke: colour(kind), paths: () => null, points: { show: true, size: 5, fill: colour(kind), stroke: colour(kind), space: 0 } });
      data.push(points.map((each) => (each.kind === kind ? each.seconds : null)));
    }
    frame(box, {
      scales: { x: { time: true, range: span }, y: { distr: 3, range: (_, low, high) => [Math.min(low || 0.001, 0.001), 10 ** Math.ceil(Math.log10(Math.max(high || 1, 1) * 1.3))] } },
      axes: [axis({ size: 28, values: clock }), axis({ size: 56, filter: powers, grid: { stroke: colour("line"), width: 1, filter: powers }, values: (_, ticks) => ticks.map((each) => (each === null ? "" : short(each))) })],
      series,
    }, data);
    box.onclick = () => {
      const at = charts.get(box.id).cursor.idx;
      if (at !== null && points[at]) location.href = `${window.headrace.root}console/runs/${points[at].id}`;
    };
  }

  function bars(box, buckets) {
    const kinds = ["finished", "failed", "aborted"];
    const data = [buckets.map((each) => each.at)];
    const series = [{}];
    const sums = buckets.map(() => 0);
    const layers = kinds.map((kind) => buckets.map((each, i) => (sums[i] += each[kind])));
    for (let i = kinds.length - 1; i >= 0; i -= 1) {
      series.push({ stroke: colour(kinds[i]), fill: colour(kinds[i]), width: 0, paths: uPlot.paths.bars({ size: [0.8, 14], align: 1 }), points: { show: false } });
      data.push(layers[i]);
    }
    frame(box, { scales: { x: { time: true, range: span }, y: { range: (_, low, high) => [0, Math.max(high || 0, 5)] } }, axes: [axis({ size: 28, values: clock }), axis({ size: 56 })], series }, data);
  }

  function draw() {
    const source = document.getElementById("chart-data");
    if (!source) return;
    const data = JSON.parse(source.textContent);
    windowSec = data.window_sec;
    const dots = document.getElementById("chart-runs"), columns = document.getElementById("chart-ends");
    if (dots) scatter(dots, data.runs);
    if (columns) bars(columns, data.buckets);
  }

  document.addEventListener("htmx:after:swap", draw);
  document.addEventListener("headrace:theme", draw);
  addEventListener("resize", draw);
  draw();
})();
