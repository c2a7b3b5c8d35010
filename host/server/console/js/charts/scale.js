// Round numbers for axes.

/** About `wanted` round steps that cover 0 to `most`. */
export function ticks(most, wanted = 4) {
  if (!(most > 0)) return [0, 1];
  const rough = most / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough) ?? rough;
  const found = [];
  for (let at = 0; at < most + step * 0.999; at += step) found.push(Number(at.toPrecision(12)));
  return found;
}

const STEPS = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10800, 21600, 43200, 86400, 604800, 2592000];

/** The width in seconds of about `wanted` steps of a time range; one that people use. */
export const timeStep = (span, wanted = 100) => STEPS.find((step) => span / step <= wanted) ?? STEPS.at(-1);

/** Round moments for the axis of time. */
export function timeTicks(from, to, wanted = 6) {
  const step = timeStep(to - from, wanted);
  const offset = new Date(from * 1000).getTimezoneOffset() * 60;
  const found = [];
  for (let at = Math.ceil((from - offset) / step) * step + offset; at <= to; at += step) found.push(at);
  return found;
}
