// Queries in words, and the words of the language with what they are called here.

export const OPERATORS = {
  equal: "is", "not-equal": "is not", "at-least": "is at least", "at-most": "is at most", "greater-than": "is greater than", "less-than": "is less than",
  contains: "contains", "not-contains": "does not contain", "regular-expression": "matches", "inverse-regular-expression": "does not match", "is-set": "is set", "is-not-set": "is not set",
};

const TEXT = ["equal", "not-equal", "contains", "not-contains", "regular-expression", "inverse-regular-expression", "is-set", "is-not-set"];
const NUMBER = ["equal", "not-equal", "at-least", "at-most", "greater-than", "less-than", "is-set", "is-not-set"];
const BOOLEAN = ["equal", "not-equal", "is-set", "is-not-set"];

export const isNumeric = (attribute) => attribute?.types?.some((t) => t === "integer" || t === "float") ?? false;

/** The operators that fit an attribute; all of them if it is not known. */
export function operatorsFor(attribute) {
  const types = attribute?.types ?? [];
  const fitting = new Set();
  if (types.includes("text")) for (const o of TEXT) fitting.add(o);
  if (isNumeric(attribute)) for (const o of NUMBER) fitting.add(o);
  if (types.includes("boolean")) for (const o of BOOLEAN) fitting.add(o);
  return Object.keys(OPERATORS).filter((o) => fitting.size === 0 || fitting.has(o));
}

export const takesCase = (operator) => /contains|regular-expression/.test(operator);
export const takesValue = (operator) => operator !== "is-set" && operator !== "is-not-set";

/** fold: [what it is called, whether it needs numbers, whether a metric may have it] */
export const FOLDS = {
  count: ["Count of events with", false, true],
  unique: ["Distinct values of", false, true],
  sum: ["Sum of", true, true],
  mean: ["Mean of", true, true],
  min: ["Least", false, true],
  max: ["Greatest", false, true],
  head: ["First", false, true],
  tail: ["Last", false, true],
  range: ["Range of", false, false],
  distribution: ["Most frequent values of", false, false],
  histogram: ["All values with counts of", false, false],
  bin: ["Intervals of", true, false],
};
const SAME = { first: "head", last: "tail" };

export const SCALAR = new Set(["count", "unique", "sum", "mean", "min", "max", "head", "tail", "first", "last"]);

export function foldWords({ attribute, fold }) {
  const word = SAME[fold] ?? fold;
  if (word === "count" && attribute === "_tx") return "count of events";
  if (word === "unique" && attribute === "_tx") return "count of events";
  const known = FOLDS[word]?.[0] ?? fold;
  return `${known[0].toLowerCase()}${known.slice(1)} ${attribute}`;
}

export function valueWords(value) {
  return typeof value === "string" ? `“${value}”` : value === null || value === undefined ? "nothing" : String(value);
}

export function conditionWords({ attribute, operator, value, insensitive }) {
  const rest = takesValue(operator) ? ` ${valueWords(value)}` : "";
  return `${attribute} ${OPERATORS[operator] ?? operator}${rest}${insensitive ? " (whatever the case)" : ""}`;
}

/** A whole query in one sentence. `state` is what query/state.js makes of the JSON. */
export function words(state) {
  const folds = state.fold.length ? joined(state.fold.map(foldWords)) : "count of events";
  const what = state.select ? `events with ${state.select.length ? state.select.join(", ") : "all attributes"}` : folds;
  const groups = !state.select && state.group.length ? ` for each ${joined(state.group)}` : "";
  const filter = state.filter.filter((all) => all.length);
  const where = filter.length ? `, where ${filter.map((all) => joined(all.map(conditionWords))).join("; or ")}` : "";
  const more = Object.keys(state.extra);
  const sentence = `${what}${groups}${where}${more.length ? `; with ${joined(more)}` : ""}`;
  return sentence[0].toUpperCase() + sentence.slice(1);
}

function joined(parts) {
  if (parts.length < 2) return parts.join("");
  return `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}
