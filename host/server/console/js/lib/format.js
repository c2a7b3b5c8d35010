// Numbers, times and amounts as people read them. Numbers carry units; times are local, with UTC on hover.

import { h } from "./dom.js";

const integer = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const real = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 6 });
const moment = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false });

export function number(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? integer.format(value) : real.format(value);
}

/** 3 windows, 1 window. */
export function count(n, one, many = `${one}s`) {
  return `${number(n)} ${n === 1 ? one : many}`;
}

const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumSignificantDigits: 3 });
/** For axes: 12K, 3.4M. */
export const compact = (value) => (Math.abs(value) < 1e4 ? number(Number(value.toPrecision(4))) : short.format(value));

export function bytes(n) {
  if (n === null || n === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = n;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) { value /= 1000; unit += 1; }
  return `${unit === 0 ? value : Number(value.toPrecision(3))} ${units[unit]}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const whole = Math.max(0, Math.round(seconds));
  if (seconds > 0 && seconds < 1) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (whole < 90) return `${whole} s`;
  if (whole < 5400) return plus(whole, 60, "min", 1, "s");
  if (whole < 172800) return plus(whole, 3600, "h", 60, "min");
  return plus(whole, 86400, "d", 3600, "h");
}

function plus(whole, big, name, small, rest) {
  const over = Math.floor((whole % big) / small);
  return `${Math.floor(whole / big)} ${name}${over ? ` ${over} ${rest}` : ""}`;
}

export const utc = (date) => `${date.toISOString().replace("T", " ").replace(/\.?0*Z$/, "")} UTC`;

/** A <time>: local, with UTC on hover. */
export function time(date, form = "moment") {
  if (date === null || date === undefined || Number.isNaN(date.getTime())) return h("span.dim", "–");
  const text = form === "clock" ? clock.format(date) : form === "day" ? day.format(date) : moment.format(date);
  return h("time", { datetime: date.toISOString(), title: utc(date) }, text);
}

/** "12 s ago", "in 40 s", with the moment on hover. */
export function ago(date) {
  if (date === null || date === undefined) return h("span.dim", "never");
  const seconds = (Date.now() - date.getTime()) / 1000;
  const text = Math.abs(seconds) < 2 ? "now" : seconds >= 0 ? `${duration(seconds)} ago` : `in ${duration(-seconds)}`;
  return h("time", { datetime: date.toISOString(), title: `${moment.format(date)} · ${utc(date)}` }, text);
}

export const fromMicros = (micros) => (micros === null || micros === undefined ? null : new Date(micros / 1000));
export const fromSeconds = (seconds) => (seconds === null || seconds === undefined ? null : new Date(seconds * 1000));

/** A value of an attribute: text as it is, nothing as what it is. */
export function value(v) {
  if (v === null || v === undefined) return h("span.none", "not set");
  if (v === "") return h("span.none", "empty text");
  if (typeof v === "number") return number(v);
  return String(v);
}

export const axisTime = (seconds, span) => {
  const date = new Date(seconds * 1000);
  return span <= 7200 ? clock.format(date) : day.format(date);
};
