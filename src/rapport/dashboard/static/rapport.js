// The pages work without this file. It draws the day chart and saves a few clicks.
"use strict";

(() => {
  let plots = [];
  let drawn = "";

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // One bar for each day; received stands on sent.
  const bars = uPlot.paths.bars({ size: [0.7, 40], radius: 0.15 });
  const EMAILS = 190;
  const MEETINGS = 96;

  function series(label, stroke, numbers) {
    const value = (_, __, ___, i) => (i == null ? "–" : numbers[i]);
    return { label, fill: stroke, stroke, width: 0, paths: bars, points: { show: false }, value };
  }

  // `shown` are the series above a common axis of days; the charts of one page show the same day.
  function options(box, names, height, shown, dated) {
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const days = names.map((day) => new Date(`${day}T00:00:00Z`));
    const short = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });
    const long = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "long", timeZone: "UTC" });
    const write = (_, at) => at.map((i) => (days[i] ? short.format(days[i]) : ""));
    return {
      width: box.clientWidth,
      height,
      padding: [8, 18, dated ? 0 : 8, 0],
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false }, sync: { key: "days" } },
      scales: { x: { time: false, range: [-0.6, days.length - 0.4] }, y: { range: (_, __, most) => [0, Math.max(4, most * 1.08)] } },
      axes: [
        { ...axis, show: dated, grid: { show: false }, size: 28, space: 64, incrs: [1, 2, 7, 14, 28], values: write },
        { ...axis, size: 46, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000], space: height === EMAILS ? 36 : 24 },
      ],
      series: [{ label: "Day", value: (_, i) => (i == null ? "–" : long.format(days[i])) }, ...shown],
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
      box.textContent = "The chart cannot be drawn now; the numbers on this page are right.";
      return;
    }
    const data = await answer.json();
    const days = data.day.map((_, i) => i);
    const emails = data.sent.map((sent, i) => sent + data.received[i]);
    const mails = [series("Received", colour("--received"), data.received), series("Sent", colour("--sent"), data.sent)];
    const meetings = [series("Meetings", colour("--meeting"), data.meetings)];
    for (const plot of plots) plot.destroy();
    plots = [];
    box.replaceChildren();
    const some = (numbers) => numbers.some((number) => number > 0);
    const draws = (height, shown, numbers, dated) => plots.push(new uPlot(options(box, data.day, height, shown, dated), [days, ...numbers], box));
    if (some(emails) || !some(data.meetings)) draws(EMAILS, mails, [emails, data.sent], true);
    if (some(data.meetings)) draws(MEETINGS, meetings, [data.meetings], !some(emails));
  }

  function resize() {
    const box = document.getElementById("chart");
    if (!box) return;
    for (const plot of plots) if (box.clientWidth !== plot.width) plot.setSize({ width: box.clientWidth, height: plot.height });
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
