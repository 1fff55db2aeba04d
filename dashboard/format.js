// Numbers, durations and times as people read them.

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });

export const count = (number) => whole.format(number);

export const rate = (number) => whole.format(number);

export function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 120) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

export const time = (iso) => new Date(iso).toLocaleTimeString();
