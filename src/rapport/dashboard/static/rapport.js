// The pages work without this file. It draws the day chart and saves a few clicks.
"use strict";

(() => {
  let plot = null;
  let drawn = "";

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // One bar for each day, received standing on sent.
  const bars = uPlot.paths.bars({ size: [0.7, 40], radius: 0.15 });

  function series(label, stroke, values) {
    return { label, fill: stroke, stroke, width: 0, paths: bars, points: { show: false }, value: values };
  }

  function options(box, data, numbers) {
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const days = data.day.map((day) => new Date(`${day}T00:00:00Z`));
    const short = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });
    const long = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "long", timeZone: "UTC" });
    return {
      width: box.clientWidth,
      height: 190,
      padding: [8, 18, 0, 0],
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      scales: { x: { time: false, range: [-0.6, days.length - 0.4] }, y: { range: (_, __, most) => [0, Math.max(4, most * 1.08)] } },
      axes: [
        { ...axis, grid: { show: false }, size: 28, space: 64, incrs: [1, 2, 7, 14, 28], values: (_, at) => at.map((i) => (days[i] ? short.format(days[i]) : "")) },
        { ...axis, size: 46, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000], space: 36 },
      ],
      series: [
        { label: "Day", value: (_, i) => (i == null ? "–" : long.format(days[i])) },
        series("Received", colour("--received"), (_, __, ___, i) => (i == null ? "–" : numbers.received[i])),
        series("Sent", colour("--sent"), (_, __, ___, i) => (i == null ? "–" : numbers.sent[i])),
      ],
    };
  }

  async function draw(force) {
    const box = document.getElementById("chart");
    if (!box || typeof uPlot === "undefined") return;
    const address = box.dataset.address;
    if (!force && drawn === address && box.firstChild) return;
    drawn = address;
    const answer = await fetch(address, { headers: { accept: "application/json" } }).catch(() => null);
    if (drawn !== address) return;
    if (!answer || !answer.ok) {
      box.textContent = "The chart cannot be drawn now; the numbers below are right.";
      return;
    }
    const data = await answer.json();
    const days = data.day.map((_, i) => i);
    const top = data.sent.map((sent, i) => sent + data.received[i]);
    plot?.destroy();
    box.replaceChildren();
    plot = new uPlot(options(box, data, data), [days, top, data.sent], box);
  }

  function resize() {
    const box = document.getElementById("chart");
    if (box && plot && box.clientWidth !== plot.width) plot.setSize({ width: box.clientWidth, height: 190 });
  }

  // A chosen length of the window is a decision; a date is typed in parts, so it waits for the button.
  document.addEventListener("change", (event) => {
    if (event.target instanceof HTMLInputElement && event.target.type === "radio" && event.target.form?.matches(".window")) {
      event.target.form.requestSubmit();
    }
  });

  let typing = 0;
  document.addEventListener("input", (event) => {
    if (event.target instanceof HTMLInputElement && event.target.id === "search") {
      clearTimeout(typing);
      typing = setTimeout(() => event.target.form?.requestSubmit(), 300);
    }
  });

  document.addEventListener("htmx:after:swap", () => draw(false));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(true));
  addEventListener("resize", resize);
  draw(true);
})();
