// A question as the page holds it, as the address has it, and as the query JSON of the API.
// What the controls cannot show (having, virtual columns, ...) is kept in `extra` and goes along untouched.

const NO_OPERAND = new Set(["is-set", "is-not-set"]);
const KNOWN = new Set(["filter", "group", "fold", "select"]);
const TIME = "timestamp";

export const RANGES = [["15m", "Last 15 minutes", 900], ["1h", "Last hour", 3600], ["6h", "Last 6 hours", 21600], ["24h", "Last 24 hours", 86400], ["7d", "Last 7 days", 604800], ["30d", "Last 30 days", 2592000], ["all", "All time", null]];

export const fresh = () => ({ filter: [], group: [], fold: [], select: null, extra: {}, range: { since: "24h" }, view: "time", measure: 0, page: 0, edit: null });

/** Reads query JSON into the parts that the controls show. */
export function parse(json) {
  const state = fresh();
  const query = typeof json === "object" && json !== null && !Array.isArray(json) ? json : {};
  for (const item of query.filter ?? []) {
    const all = [];
    for (const [attribute, conditions] of Object.entries(item)) {
      for (const [operator, value, options] of conditions) all.push({ attribute, operator, value, insensitive: options?.case_insensitive === true });
    }
    state.filter.push(all);
  }
  state.group = [...(query.group ?? [])];
  for (const [attribute, folds] of Object.entries(query.fold ?? {})) for (const [fold, ...args] of folds) state.fold.push({ attribute, fold, args });
  if (Array.isArray(query.select)) state.select = [...query.select];
  for (const [name, value] of Object.entries(query)) if (!KNOWN.has(name)) state.extra[name] = value;
  return state;
}

function conditionsJson(conditions) {
  const item = {};
  for (const { attribute, operator, value, insensitive } of conditions) {
    const one = NO_OPERAND.has(operator) ? [operator] : [operator, value];
    if (insensitive) one.push({ case_insensitive: true });
    (item[attribute] ??= []).push(one);
  }
  return item;
}

/** The query JSON without any time frame: what a metric would be made of. */
export function toJson(state) {
  const query = {};
  const filter = state.filter.filter((all) => all.length > 0);
  if (filter.length) query.filter = filter.map(conditionsJson);
  if (state.select) query.select = state.select;
  else {
    if (state.group.length) query.group = state.group;
    if (state.fold.length) {
      query.fold = {};
      for (const { attribute, fold, args } of state.fold) (query.fold[attribute] ??= []).push([fold, ...args]);
    }
  }
  return { ...query, ...state.extra };
}

/** The time range in seconds: {from, to}, either may be null. */
export function bounds(range, now = Date.now() / 1000) {
  if (range.since) {
    const length = RANGES.find(([word]) => word === range.since)?.[2] ?? null;
    return { from: length === null ? null : Math.floor(now - length), to: null };
  }
  return { from: range.from ?? null, to: range.to ?? null };
}

/** The query JSON with the time frame in it, as it is asked. */
export function timed(json, { from, to }) {
  const conditions = [];
  if (from !== null) conditions.push(["at-least", Math.floor(from)]);
  if (to !== null) conditions.push(["less-than", Math.ceil(to)]);
  if (!conditions.length) return json;
  const items = json.filter?.length ? json.filter : [{}];
  return { ...json, filter: items.map((item) => ({ ...item, [TIME]: [...(item[TIME] ?? []), ...conditions] })) };
}

/** The same query for one group only. */
export function within(json, attributes, key) {
  const items = json.filter?.length ? json.filter : [{}];
  const narrowed = items.map((item) => {
    const made = { ...item };
    attributes.forEach((name, i) => {
      const value = key[i];
      made[name] = [...(made[name] ?? []), value === null ? ["is-not-set"] : ["equal", value]];
    });
    return made;
  });
  return { ...json, filter: narrowed };
}

export function toAddress(state) {
  const json = toJson(state);
  return {
    q: Object.keys(json).length ? JSON.stringify(json) : "",
    since: state.range.since === "24h" ? "" : state.range.since,
    from: state.range.since ? "" : state.range.from, to: state.range.since ? "" : state.range.to,
    view: state.view === "time" ? "" : state.view, by: state.measure || "", page: state.page || "", edit: state.edit ?? "",
  };
}

export function fromAddress(query) {
  let json = {};
  try { json = query.q ? JSON.parse(query.q) : {}; } catch { /* a link that was cut */ }
  let state;
  try { state = parse(json); } catch { state = fresh(); state.extra = json; }
  const moment = (text) => (text && Number.isFinite(Number(text)) ? Number(text) : null);
  state.range = query.from || query.to ? { from: moment(query.from), to: moment(query.to) } : { since: RANGES.some(([word]) => word === query.since) ? query.since : "24h" };
  state.view = query.view === "bars" ? "bars" : "time";
  state.measure = Number(query.by) || 0;
  state.page = Number(query.page) || 0;
  state.edit = query.edit || null;
  return state;
}
