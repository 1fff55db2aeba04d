// The viral videos, and which entered and left.

import { byId, keep, make, show } from "./elements.js";
import { coefficient, count, duration, time } from "./format.js";
import { drawSparkline, makeSparkline } from "./sparkline.js";

const FRESH_MS = 15_000;

function makeRow({ video_id: id }) {
  const number = (extra = "") => make("td", { class: `number ${extra}` });
  return make("tr", {},
    make("th", { scope: "row" }, make("a", { href: `#video/${id}`, text: id }),
      make("span", { class: "tag new", text: "new", hidden: true })),
    number("strong"), make("td", { class: "spark" }, makeSparkline()),
    number(), number("minor"), number("minor"), number("minor"));
}

function updateRow(row, video, now) {
  const [name, ratio, spark, views, shares, comments, since] = row.children;
  name.querySelector(".tag").hidden = now - Date.parse(video.entered ?? 0) > FRESH_MS;
  show(ratio, coefficient(video.viral_coefficient));
  show(views, count(video.views));
  show(shares, count(video.shares));
  show(comments, count(video.comments));
  show(since, time(video.detected_at));
  if (!video.steps) return;
  const { views: steps, step_s: step } = video.steps;
  drawSparkline(spark.firstChild, steps,
    `views in steps of ${duration(step)}: ${count(steps.at(-1))} in the latest, ${
      count(Math.max(...steps))} at most`);
}

export function showViral({ complete, count: number, videos, changes }, at) {
  const now = Date.parse(at);
  show("viral-count", complete ? count(number) : "…");
  const entered = new Map(changes.filter(({ change }) => change === "entered").reverse()
    .map((change) => [change.video_id, change.time]));
  const rows = videos.map((video) => ({ ...video, entered: entered.get(video.video_id) }));
  keep(byId("viral"), rows, {
    key: ({ video_id: id }) => id,
    create: makeRow,
    update: (row, video) => updateRow(row, video, now),
  });
  byId("viral-table").hidden = videos.length === 0;
  byId("viral-none").hidden = videos.length > 0;
  show("viral-none", complete ? "No video is viral now." : "Reading the list…");
  const more = number - videos.length;
  show("viral-more", more > 0 ? `and ${count(more)} more: GET /videos/viral` : "");
  showChanges(changes);
}

function showChanges(changes) {
  keep(byId("viral-changes"), changes.slice(0, 12), {
    key: ({ change, video_id: id, time: when }) => `${change} ${id} ${when}`,
    create: ({ change, video_id: id, viral_coefficient: ratio, time: when }) => make("li", {},
      make("time", { datetime: when, text: time(when), class: "quiet" }),
      make("span", { class: `change ${change}`, text: change }),
      make("a", { href: `#video/${id}`, text: id }),
      make("span", { class: "quiet", text: coefficient(ratio) })),
    update: () => {},
  });
  byId("viral-changes-none").hidden = changes.length > 0;
}
