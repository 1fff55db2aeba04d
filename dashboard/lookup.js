// Looks a user, a video or a creator up, and goes on doing so while it is shown. Its address is in
// the page's: #user/42, #video/7, #creator/3.

import { ask } from "./api.js";
import { Chart } from "./chart.js";
import { COLUMNS } from "./columns.js";
import { byId, keep, make, show } from "./elements.js";
import * as formats from "./format.js";

const { compact, count, decimal, duration, hourAndMinute, moment, share } = formats;

const AGAIN_MS = 3000;

// As in dashboard.css.
const narrow = matchMedia("(max-width: 44rem)");
const fields = (kind, part = (plain) => plain) => COLUMNS[kind].map(([label, name, format]) => [
  label, (plain) => formats[format](part(plain)[name]),
]);

const KINDS = {
  user: {
    path: "users",
    fields: fields("user"),
    bounds: (series) => [series.window.start, series.window.end, series.window.step_s],
    charts: [
      {
        title: "Videos watched and likes",
        format: compact,
        lines: [["videos watched", "views", "--line-1", "22"], ["likes", "likes", "--line-3"]],
      },
      {
        title: "Minutes watched",
        format: compact,
        lines: [["minutes watched", "minutes", "--line-2", "22"]],
      },
    ],
  },
  video: {
    path: "videos",
    fields: [
      ...fields("video", (plain) => plain.rolling),
      ["viral", (plain) => (plain.viral ? "yes" : "no")],
    ],
    bounds: (series) => [series.rolling.start, series.rolling.end, series.step_s],
    charts: [
      {
        title: "Views and likes",
        format: compact,
        lines: [["views", "views", "--line-1", "22"], ["likes", "likes", "--line-3"]],
      },
      {
        title: "Comments and shares",
        format: compact,
        lines: [["comments", "comments", "--line-2", "22"], ["shares", "shares", "--line-3"]],
      },
    ],
  },
  creator: {
    path: "creators",
    fields: [
      ...fields("creator"),
      ["complete since", ({ complete_since: since }) => (since ? moment(since) : "the whole window")],
    ],
    bounds: (series) => [series.window.start, series.window.end, series.window.step_s],
    charts: [
      {
        title: "Views and likes",
        format: compact,
        lines: [["views", "views", "--line-1", "22"], ["likes", "likes", "--line-3"]],
      },
      {
        title: "Minutes watched and follows",
        format: compact,
        lines: [["minutes watched", "minutes", "--line-2", "22"], ["follows", "follows", "--line-3"]],
      },
    ],
  },
};

let shown = null;
let timer = null;
// The user, video or creator that the charts show, and the charts.
let charted = null;
let charts = [];

// --- what is asked for

const fromAddress = () => {
  const [, kind, id] = location.hash.match(/^#(user|video|creator)\/(\d+)$/) ?? [];
  return kind ? { kind, id } : null;
};

export function lookUpFromAddress() {
  const wanted = fromAddress();
  if (!wanted) return;
  byId("lookup").elements.kind.value = wanted.kind;
  byId("lookup").elements.id.value = wanted.id;
  lookUp(wanted);
}

async function lookUp(wanted) {
  clearTimeout(timer);
  const isAnother = shown?.kind !== wanted.kind || shown?.id !== wanted.id;
  shown = wanted;
  if (isAnother) {
    byId("lookup-result").hidden = true;
    show("lookup-message", "looking…");
  }
  try {
    const path = `${KINDS[wanted.kind].path}/${wanted.id}`;
    const [plain, series] = await Promise.all([ask(path), ask(`${path}/series`)]);
    if (shown !== wanted) return;
    show("lookup-message", "");
    showResult(wanted, plain, series);
  } catch (error) {
    if (shown !== wanted) return;
    byId("lookup-result").hidden = error.status === 404 || error.status === 400 || isAnother;
    show("lookup-message", sentence(error.message));
    // It is looked up again when a token is given.
    if (error.status === 401) return;
  }
  timer = setTimeout(() => again(wanted), AGAIN_MS);
}

// A page that nobody sees asks for nothing.
function again(wanted) {
  if (document.hidden) timer = setTimeout(() => again(wanted), AGAIN_MS);
  else if (shown === wanted) lookUp(wanted);
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

// --- what is shown

function showResult({ kind, id }, plain, series) {
  const { fields: shownFields, bounds, charts: descriptions } = KINDS[kind];
  const [start, end, step] = bounds(series);
  byId("lookup-result").hidden = false;
  show("lookup-title-of", `${kind} ${id}`);
  show("lookup-window", `${moment(start)} to ${moment(end)}, as of ${moment(plain.as_of)}`);
  keep(byId("lookup-fields"), shownFields, {
    key: ([name]) => name,
    create: ([name]) => make("div", {}, make("dt", { text: name }), make("dd")),
    update: (field, [, value]) => show(field.lastChild, value(plain)),
  });
  const steps = dense(series.panes, Date.parse(start), Date.parse(end), step * 1000);
  if (charted !== `${kind} ${id}`) {
    for (const { chart } of charts) chart.destroy();
    byId("lookup-charts").replaceChildren();
    charts = descriptions.map(makeChart);
    charted = `${kind} ${id}`;
  }
  descriptions.forEach((description, index) => drawChart(charts[index], description, steps, step));
  showTable(kind, steps);
}

// All steps of the window, those without anything too.
function dense(panes, from, to, stepMs) {
  const known = new Map(panes.map((pane) => [Date.parse(pane.start), pane]));
  const steps = [];
  for (let at = from; at < to; at += stepMs) {
    const pane = known.get(at) ?? {};
    const { views = 0, likes = 0, comments = 0, shares = 0, follows = 0 } = pane;
    const minutes = (pane.watch_ms ?? 0) / 60_000;
    steps.push({ at, views, likes, comments, shares, follows, minutes });
  }
  return steps;
}

function makeChart({ title, lines, format }) {
  const canvas = make("div", { class: "chart", role: "img" });
  const key = make("p", { class: "key" }, ...lines.map(([name, , colour]) => make("span", {},
    make("span", { class: `dash ${colour.slice(2)}`, "aria-hidden": "true" }), name)));
  const pointed = make("p", { class: "quiet pointed" });
  const top = make("div", { class: "chart-top" }, key, pointed);
  byId("lookup-charts").append(
    make("figure", {}, make("figcaption", { class: "hidden-text", text: title }), top, canvas),
  );
  const made = { canvas, pointed, steps: [] };
  made.chart = new Chart(canvas, {
    format,
    sync: "lookup",
    lines: lines.map(([name, , colour, shade]) => ({ name, colour, shade, stepped: true })),
    onPoint: (index) => {
      const step = index === null ? null : made.steps[Math.min(index, made.steps.length - 1)];
      show(pointed, step ? `${hourAndMinute(step.at)}: ${
        lines.map(([name, field]) => `${format(step[field])} ${name}`).join(", ")}` : "");
    },
  });
  return made;
}

function drawChart(made, { title, lines }, steps, stepSeconds) {
  made.steps = steps;
  const last = steps.at(-1);
  // The last step is drawn to its end.
  const ended = last ? [...steps, { ...last, at: last.at + stepSeconds * 1000 }] : steps;
  const columns = [ended.map(({ at }) => at / 1000),
    ...lines.map(([, field]) => ended.map((step) => step[field]))];
  made.chart.update(columns, [columns[0][0], columns[0].at(-1)]);
  const sums = lines.map(([name, field]) => `${
    compact(steps.reduce((sum, step) => sum + step[field], 0))} ${name}`);
  made.canvas.setAttribute("aria-label",
    `${title} in steps of ${duration(stepSeconds)}: ${sums.join(", ")} in all`);
}

function showTable(kind, steps) {
  const columns = KINDS[kind].charts.flatMap(({ lines }) => lines);
  byId("lookup-head").replaceChildren(
    make("th", { scope: "col", text: "from" }),
    ...columns.map(([name]) => make("th", { scope: "col", class: "number", text: name })),
  );
  const busy = steps.filter((step) => columns.some(([, field]) => step[field])).reverse();
  const views = busy.reduce((sum, step) => sum + step.views, 0);
  keep(byId("lookup-steps"), busy, {
    key: ({ at }) => `${kind} ${at}`,
    create: ({ at }) => make("tr", {}, make("th", { scope: "row", text: moment(at) }),
      ...columns.map(() => make("td", { class: "number" }))),
    update: (row, step) => {
      columns.forEach(([, field], index) => {
        show(row.children[index + 1], (field === "minutes" ? decimal : count)(step[field]));
      });
      row.title = `${share(step.views, views)} of the views`;
    },
  });
}

// --- the form

// Where there is room for one column only, the look-up comes first: it would be screens below.
function place() {
  const main = document.querySelector("main");
  if (narrow.matches) main.insertBefore(byId("lookup-card"), byId("figures"));
  else main.append(byId("lookup-card"));
}

export function prepareLookup() {
  place();
  narrow.addEventListener("change", place);
  const form = byId("lookup");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const { kind, id } = Object.fromEntries(new FormData(form));
    const address = `#${kind}/${id}`;
    if (location.hash === address) lookUpFromAddress();
    else location.hash = address;
  });
  addEventListener("hashchange", () => {
    lookUpFromAddress();
    if (!form.contains(document.activeElement)) {
      byId("lookup-title").focus();
    }
  });
  lookUpFromAddress();
}
