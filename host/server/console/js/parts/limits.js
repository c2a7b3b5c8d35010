// What an adapter uses of what it may: an amount, its limit, and a bar between them.

import { h } from "../lib/dom.js";
import { bytes, duration, number } from "../lib/format.js";

const NAMES = {
  "cpu-per-minute": "CPU time in the last minute",
  "call-time": "CPU time of one call, at most",
  memory: "Memory, at most",
  output: "Output of one call, at most",
  actions: "Requests of one batch, at most",
  handles: "Handles of one call, at most",
  "log-lines": "Lines to the log of one call, at most",
  "component-size": "Size of the adapter's file",
  "tenant-cpu-per-minute": "CPU time of all stores of the tenant in the last minute",
  "tenant-instances": "Adapters of the tenant at work now",
};
const AMOUNTS = { ms: (n) => duration(n / 1000), bytes };

export const limitName = (limit) => NAMES[limit.name] ?? limit.name;

/** "12 ms of 20 s", with a bar. */
export function used(limit) {
  const amount = AMOUNTS[limit.unit] ?? number;
  const text = `${amount(limit.used)} of ${amount(limit.limit)}`;
  return h("div.used", h("span", text), h("meter", { min: 0, max: Math.max(1, limit.limit), high: limit.limit * 0.8, value: Math.min(limit.used, limit.limit), "aria-label": `${limitName(limit)}: ${text}` }));
}

export const limitOf = (limits, name) => (limits ?? []).find((limit) => limit.name === name);
