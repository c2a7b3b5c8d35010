// Deliveries at a glance: one bar for each of the last windows, coloured and shaped by outcome, with the counts in words.

import { s } from "../lib/dom.js";
import { count } from "../lib/format.js";

const WORD = { evaluated: "confirmed", failed: "rejected" };
const HEIGHT = { confirmed: 18, queued: 10, rejected: 18, expired: 14, nothing: 3 };

/** `outcomes` are {end, state, rows}, oldest first; `slots` is the number of bars that fit. */
export function spark(outcomes, slots = 30) {
  const ends = new Map();
  for (const one of outcomes) {
    // Several metric sets share a window's end; the worst of them is shown.
    const kind = WORD[one.state] ?? one.state;
    const shown = kind === "confirmed" && one.rows === 0 ? "nothing" : kind;
    const rank = { nothing: 0, confirmed: 1, queued: 2, expired: 3, rejected: 4 };
    if (!ends.has(one.end) || rank[shown] > rank[ends.get(one.end)]) ends.set(one.end, shown);
  }
  const kinds = [...ends.entries()].sort(([a], [b]) => a - b).map(([, kind]) => kind).slice(-slots);
  const counts = {};
  for (const kind of kinds) counts[kind] = (counts[kind] ?? 0) + 1;
  const words = { confirmed: "arrived", queued: "waiting", rejected: "rejected", expired: "expired", nothing: "without values" };
  const told = kinds.length === 0 ? "No window yet"
    : `Last ${count(kinds.length, "window")}: ${Object.entries(counts).map(([kind, n]) => `${n} ${words[kind] ?? kind}`).join(", ")}`;
  const offset = slots - kinds.length;
  return s("svg.spark", { viewBox: `0 0 ${slots * 4} 20`, width: slots * 4, height: 20, role: "img", "aria-label": told },
    s("title", told),
    s("rect.nothing", { x: 0, y: 19, width: slots * 4, height: 1 }),
    kinds.map((kind, i) => s(`rect.${kind}`, { x: (offset + i) * 4, y: 20 - (HEIGHT[kind] ?? 10), width: 3, height: HEIGHT[kind] ?? 10 })));
}
