// Asks a question: the groups or events, and what is needed for the picture over time. Progress comes line by line, and the end
// of the signal ends the query on the server, too.

import * as api from "../lib/api.js";
import { at } from "../lib/api.js";
import { timeStep } from "../charts/scale.js";
import { bounds, timed, toJson, within } from "./state.js";
import { SCALAR, foldWords } from "./words.js";

export const ROWS = 200;
const LINES = 6;
const BUCKET = "tidegate.bucket";
export const EVENTS = 50;

/** What can be drawn: the events of a group, and each aggregate that is a number. */
export const measures = (state) => [
  { index: 0, label: "events" },
  ...state.fold.map((f, i) => ({ index: i + 1, label: foldWords(f), fold: f })).filter((m) => SCALAR.has(m.fold.fold)),
];

export const measureOf = (row, index) => (index === 0 ? row.events : row.values[index - 1]);

function order(state) {
  if (state.measure === 0) return [{ name: ";count", ordering: "descending" }];
  const { attribute } = state.fold[state.measure - 1];
  const nth = state.fold.slice(0, state.measure - 1).filter((f) => f.attribute === attribute).length;
  return [{ name: `${attribute};${nth}`, ordering: "descending" }];
}

const ask = (project, json, options) => patient(() => api.stream(at`/projects/${project}/query`, json, options), options.signal);

/** A server that is busy says when to come again; once is enough to be polite. */
async function patient(work, signal) {
  try {
    return await work();
  } catch (error) {
    if (error.status !== 503) throw error;
    await new Promise((go) => setTimeout(go, 1200));
    if (signal?.aborted) throw error;
    return work();
  }
}

export async function groups(project, state, { signal, progress }) {
  const json = toJson(state);
  const asked = { ...json, order: json.order ?? order(state), limit: json.limit ?? ROWS };
  return ask(project, timed(asked, bounds(state.range)), { signal, progress });
}

export async function events(project, state, { signal, progress }) {
  const json = toJson(state);
  const asked = { ...json, order: json.order ?? [{ name: "timestamp", ordering: "descending" }], limit: EVENTS, offset: state.page * EVENTS };
  return ask(project, timed(asked, bounds(state.range)), { signal, progress });
}

/** Lines over time for the largest groups of an answer: {from, to, step, lines}. */
export async function overTime(project, state, answer, { signal }) {
  const base = toJson({ ...state, extra: state.extra.virtual_columns ? { virtual_columns: state.extra.virtual_columns } : {} });
  const range = await ends(project, state, base, signal);
  if (!range) return null;
  const step = timeStep(range.to - range.from);
  const names = state.group;
  const top = names.length ? answer.rows.slice(0, LINES) : [{ group: [] }];
  const measure = measures(state).find((m) => m.index === state.measure) ?? measures(state)[0];
  const fold = measure.fold ? { [measure.fold.attribute]: [[measure.fold.fold, ...measure.fold.args]] } : undefined;
  const bucket = { name: BUCKET, type: "quantize_uint", quantize_uint: { backing_column: "timestamp", size: step, offset: 0 } };
  const filters = names.length ? top.flatMap((row) => within(base, names, row.group).filter) : base.filter;
  const query = { filter: filters, group: [BUCKET, ...names], fold, virtual_columns: [...(base.virtual_columns ?? []), bucket], limit: 20_000 };
  if (!query.filter?.length) delete query.filter;
  const found = await ask(project, timed(query, { from: range.from, to: range.to }), { signal });
  const moments = [];
  // Portions that are not over look like a fall where there is none.
  for (let t = Math.ceil(range.from / step) * step; t + step <= range.to || moments.length < 2; t += step) moments.push(t);
  // No event means none for what counts, and no value for what measures.
  const nothing = !measure.fold || ["count", "unique", "sum"].includes(measure.fold.fold) ? 0 : null;
  const lines = top.map((row) => {
    const id = JSON.stringify(row.group);
    const mine = new Map(found.rows.filter((r) => JSON.stringify(r.group.slice(1)) === id).map((r) => [r.group[0], fold ? r.values[0] : r.events]));
    return { name: groupName(row.group), points: moments.map((t) => { const v = mine.has(t) ? mine.get(t) : nothing; return [t, typeof v === "number" ? v : nothing]; }) };
  });
  return { from: moments[0], to: moments.at(-1) ?? moments[0], step, lines, measure };
}

/** The time range in whole numbers; of all time, where the events lie. */
async function ends(project, state, json, signal) {
  const { from, to } = bounds(state.range);
  const now = Math.ceil(Date.now() / 1000);
  if (from !== null && (to !== null || state.range.since)) return { from, to: to ?? now };
  const query = { ...timed(json, { from, to }), fold: { timestamp: [["range"]] } };
  delete query.group;
  delete query.select;
  const found = await ask(project, query, { signal });
  const range = found.rows[0]?.values[0];
  if (!Array.isArray(range)) return null;
  const end = to ?? range[1] + 1;
  // A minute at least: what came at once is no line.
  return { from: Math.min(from ?? range[0], end - 60), to: end };
}

export const groupName = (key) => (key.length === 0 ? "All events" : key.map((v) => (v === null ? "not set" : v === "" ? "empty text" : String(v))).join(" · "));
