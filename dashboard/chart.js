// Curves over time, drawn by uPlot in the page's colours, light or dark.

/* global uPlot */

import { hourAndMinute, time } from "./format.js";

const HEIGHT = 148;
const dark = matchMedia("(prefers-color-scheme: dark)");

const colour = (name) => getComputedStyle(document.documentElement)
  .getPropertyValue(name).trim();

// The page's colours are #rrggbb; the shade is the two digits that follow.
const shaded = (name, shade) => `${colour(name)}${shade}`;

function axes(format) {
  const shared = {
    stroke: () => colour("--quiet"),
    font: "12px Inter, system-ui, sans-serif",
    ticks: { show: false },
    border: { show: false },
  };
  return [
    {
      ...shared,
      grid: { show: false },
      size: 26,
      space: 72,
      values: (_, splits, __, ___, step) => splits
        .map((second) => (step < 60 ? time : hourAndMinute)(second * 1000)),
    },
    {
      ...shared,
      grid: { stroke: () => colour("--line"), width: 1 },
      size: (_, values) => 12 + 7 * Math.max(3, ...(values ?? []).map((text) => text.length)),
      space: 36,
      values: (_, splits) => splits.map(format),
    },
  ];
}

function drawn({ name, colour: stroke, shade, stepped }) {
  return {
    label: name,
    stroke: () => colour(stroke),
    fill: shade ? () => shaded(stroke, shade) : undefined,
    width: 1.75,
    points: { show: false },
    paths: stepped ? uPlot.paths.stepped({ align: 1 }) : uPlot.paths.linear(),
  };
}

export class Chart {
  #root;
  #options;
  #plot = null;
  #observer = new ResizeObserver(() => this.#fit());
  #redraw = () => this.#plot?.redraw(false);

  // lines: [{ name, colour: "--line-1", shade: "22", stepped }]; format writes a value of the
  // axis; onPoint(index or null, isHere) learns what is pointed at, and whether in this chart or
  // in one in sync with it; sync: charts that point together.
  constructor(root, { lines, format, sync, onPoint, least = 1 }) {
    this.#root = root;
    this.#options = {
      width: 300,
      height: HEIGHT,
      padding: [8, 18, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: false, y: false },
        sync: sync ? { key: sync } : undefined,
        points: { size: 7 },
      },
      scales: {
        x: { time: true },
        y: { range: (_, __, top) => [0, Math.max(least, top) * 1.08] },
      },
      axes: axes(format),
      series: [{}, ...lines.map(drawn)],
      hooks: {
        setCursor: [({ cursor }) => onPoint?.(cursor.idx ?? null, Boolean(cursor.event))],
      },
    };
    this.#observer.observe(root);
    dark.addEventListener("change", this.#redraw);
  }

  // Columns: seconds since the epoch, then one for each line; [from, to] in the same seconds.
  update(columns, [from, to]) {
    if (this.#plot === null) {
      this.#plot = new uPlot(this.#options, columns, this.#root);
      this.#fit();
    } else {
      this.#plot.setData(columns, false);
    }
    this.#plot.setScale("x", { min: from, max: to });
  }

  // Without this, uPlot and the listener keep a chart that has left the page.
  destroy() {
    this.#observer.disconnect();
    dark.removeEventListener("change", this.#redraw);
    this.#plot?.destroy();
  }

  #fit() {
    const width = Math.floor(this.#root.clientWidth);
    if (this.#plot && width > 0 && width !== this.#plot.width) {
      this.#plot.setSize({ width, height: HEIGHT });
    }
  }
}
