// Numbers, durations and times as people read them.

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const hundredths = new Intl.NumberFormat(undefined, {
  minimumFractionDigits: 2, maximumFractionDigits: 2,
});
const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat(undefined, {
  style: "percent", minimumFractionDigits: 2, maximumFractionDigits: 2,
});
const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});
const minutes = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", hourCycle: "h23",
});
const day = new Intl.DateTimeFormat(undefined, {
  day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
});

export const NOTHING = "–";

const or = (format) => (number) => (number === null || number === undefined
  ? NOTHING : format(number));

export const count = or((number) => whole.format(number));
export const compact = or((number) => (number < 10_000 ? tenths : short).format(number));
export const coefficient = or((number) => hundredths.format(number));
export const decimal = or((number) => (number < 1000 ? hundredths : whole).format(number));

// 0.99999 is not 100 %.
export const share = (part, total) => {
  if (!total) return NOTHING;
  const text = percent.format(part / total);
  if (part < total && text === percent.format(1)) return `> ${percent.format(0.9999)}`;
  if (part > 0 && text === percent.format(0)) return `< ${percent.format(0.0001)}`;
  return text;
};

export const duration = or((seconds) => {
  if (seconds < 0.0095) return `${tenths.format(seconds * 1000)} ms`;
  if (seconds < 0.9995) return `${whole.format(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${tenths.format(seconds)} s`;
  if (seconds < 120) return `${whole.format(seconds)} s`;
  if (seconds < 7200) return `${whole.format(seconds / 60)} min`;
  if (seconds < 172_800) return `${whole.format(seconds / 3600)} h`;
  return `${whole.format(seconds / 86_400)} days`;
});

const date = (time) => (time instanceof Date ? time : new Date(time));

export const time = (value) => clock.format(date(value));
export const hourAndMinute = (value) => minutes.format(date(value));
export const moment = (value) => day.format(date(value));

// [0, 1, 2, 5] is 0–2, 5.
export function ranges(numbers) {
  const parts = [];
  for (const number of numbers) {
    const last = parts.at(-1);
    if (last && number === last[1] + 1) last[1] = number;
    else parts.push([number, number]);
  }
  return parts.map(([from, to]) => {
    if (from === to) return `${from}`;
    return to === from + 1 ? `${from}, ${to}` : `${from}–${to}`;
  }).join(", ");
}
