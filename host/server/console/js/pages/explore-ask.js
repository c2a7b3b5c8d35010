// The controls of Explore: chips for conditions, groups and aggregates, each opened in a small dialog.

import * as api from "../lib/api.js";
import { at } from "../lib/api.js";
import { fill, fresh, h, later } from "../lib/dom.js";
import { bounds, RANGES, timed } from "../query/state.js";
import { FOLDS, OPERATORS, conditionWords, foldWords, isNumeric, operatorsFor, takesCase, takesValue } from "../query/words.js";
import { dialog } from "../parts/dialog.js";
import { checkbox, field, selectField, textField } from "../parts/fields.js";
import { icon } from "../parts/icons.js";

/** A chip that is edited by its text and removed by its cross. */
function chip(text, edit, remove) {
  return h("span.chip", h("button", { type: "button", onclick: edit }, text), h("button", { type: "button", "aria-label": `Remove: ${text}`, onclick: remove }, icon("close")));
}

const plus = (label, act) => h("button.small", { type: "button", onclick: act }, icon("plus"), label);

/** Draws the controls; `change(work)` lets `work(state)` change the question. */
export function controls({ state, attributes, project, change }) {
  const known = new Map(attributes.map((a) => [a.name, a]));
  const context = { project, attributes, known };
  const line = (label, ...children) => h("div.line", h("div.label", label), h("div.row", ...children));
  const filters = state.filter.length ? state.filter : [[]];
  const conditions = filters.map((all, i) => [
    i > 0 && h("span.or", "or"),
    all.map((one, j) => chip(conditionWords(one), async () => {
      const next = await condition(one, context);
      if (next) change((s) => { s.filter[i][j] = next; });
    }, () => change((s) => { s.filter[i].splice(j, 1); if (s.filter[i].length === 0) s.filter.splice(i, 1); }))),
    plus(i === 0 ? "Condition" : "And", async () => {
      const next = await condition(null, context);
      if (next) change((s) => { (s.filter[i] ??= []).push(next); });
    }),
  ]);
  const addOr = state.filter.some((all) => all.length) && plus("Or", async () => {
    const next = await condition(null, context);
    if (next) change((s) => s.filter.push([next]));
  });
  const groups = state.group.map((name, i) => chip(name, async () => {
    const next = await attribute("Group by", name, context);
    if (next) change((s) => { s.group[i] = next; });
  }, () => change((s) => s.group.splice(i, 1))));
  const folds = state.fold.map((one, i) => chip(foldWords(one), async () => {
    const next = await aggregate(one, context);
    if (next) change((s) => { s.fold[i] = next; });
  }, () => change((s) => { s.fold.splice(i, 1); s.measure = 0; })));
  const columns = (state.select ?? []).map((name, i) => chip(name, async () => {
    const next = await attribute("Column", name, context);
    if (next) change((s) => { s.select[i] = next; });
  }, () => change((s) => s.select.splice(i, 1))));
  const more = Object.keys(state.extra);
  return h("div.ask",
    line("Time", timeRange(state, change)),
    line("Where", conditions, addOr),
    state.select
      ? line("Columns", columns, plus("Column", async () => { const next = await attribute("Column", "", context); if (next) change((s) => s.select.push(next)); }))
      : [line("Group by", groups, plus("Attribute", async () => { const next = await attribute("Group by", "", context); if (next) change((s) => s.group.push(next)); })),
        line("Show", h("span.soft", "events"), folds, plus("Aggregate", async () => { const next = await aggregate(null, context); if (next) change((s) => s.fold.push(next)); }))],
    more.length > 0 && line("Also", more.map((name) => chip(`${name}: ${JSON.stringify(state.extra[name])}`, () => {}, () => change((s) => { delete s.extra[name]; })))));
}

function timeRange(state, change) {
  const id = fresh("range");
  const current = state.range.since ?? "custom";
  const local = (seconds) => (seconds === null || seconds === undefined ? "" : new Date((seconds - new Date(seconds * 1000).getTimezoneOffset() * 60) * 1000).toISOString().slice(0, 16));
  const select = h("select", { id, "aria-label": "Time range", onchange: () => change((s) => {
    if (select.value !== "custom") { s.range = { since: select.value }; return; }
    const { from } = bounds(s.range);
    const now = Math.floor(Date.now() / 1000);
    s.range = { from: from ?? now - 86400, to: now };
  }) }, RANGES.map(([word, label]) => h("option", { value: word, selected: word === current }, label)), h("option", { value: "custom", selected: current === "custom" }, "From … to …"));
  const edge = (name, label) => h("input", { type: "datetime-local", "aria-label": label, value: local(state.range[name]), onchange: (e) => change((s) => { s.range = { ...s.range, [name]: e.target.value ? Math.floor(new Date(e.target.value).getTime() / 1000) : null }; }) });
  return h("div.row", h("span", select), current === "custom" && [h("span", edge("from", "From")), h("span.soft", "to"), h("span", edge("to", "To"))]);
}

/** An input that completes names of attributes. */
function attributeField(label, value, { attributes }, options = {}) {
  const id = fresh("attributes");
  const f = textField({ label, value, required: true, list: id, autofocus: true, ...options });
  f.append(h("datalist", { id }, attributes.filter(options.only ?? (() => true)).map((a) => h("option", { value: a.name }, a.types.join(", ")))));
  return f;
}

function attribute(title, value, context) {
  return dialog(title, (close) => {
    const f = attributeField("Attribute", value, context, { help: "Type to find one." });
    return h("form.stack", { onsubmit: (e) => { e.preventDefault(); if (f.control.value.trim()) close(f.control.value.trim()); } }, f, h("div.actions", h("button.main", { type: "submit" }, "Apply"), h("button", { type: "button", onclick: () => close() }, "Cancel")));
  }, { narrow: true });
}

function aggregate(one, context) {
  return dialog(one ? "Change the aggregate" : "Add an aggregate", (close) => {
    const word = { first: "head", last: "tail" }[one?.fold] ?? one?.fold ?? "count";
    const kind = selectField({ label: "Aggregate", value: word, choices: Object.entries(FOLDS).map(([fold, [label]]) => [fold, `${label} …`]) });
    const place = h("div");
    let f;
    const draw = () => {
      const needs = FOLDS[kind.control.value][1];
      const before = f?.control.value ?? one?.attribute ?? "";
      f = attributeField("of attribute", before, context, { only: needs ? isNumeric : () => true, autofocus: false, help: kind.control.value === "count" ? "_tx is in every event: it counts events." : needs ? "Only attributes with numbers are offered." : null });
      fill(place, f);
    };
    kind.control.addEventListener("change", draw);
    draw();
    return h("form.stack", { onsubmit: (e) => {
      e.preventDefault();
      if (!f.control.value.trim()) return f.wrong("needs a value");
      const args = one && word === kind.control.value ? one.args : [];
      return close({ attribute: f.control.value.trim(), fold: kind.control.value, args });
    } }, kind, place, h("div.actions", h("button.main", { type: "submit" }, "Apply"), h("button", { type: "button", onclick: () => close() }, "Cancel")));
  }, { narrow: true });
}

function condition(one, context) {
  return dialog(one ? "Change the condition" : "Add a condition", (close) => {
    const name = attributeField("Attribute", one?.attribute ?? "", context);
    const rest = h("div.stack");
    let operator;
    let value;
    let insensitive;
    const kindOf = () => context.known.get(name.control.value.trim());
    const drawValue = () => {
      const before = value?.control.value ?? (one?.value === undefined || one?.value === null ? "" : String(one.value));
      const booleans = kindOf()?.types?.length === 1 && kindOf().types[0] === "boolean";
      if (!takesValue(operator.control.value)) { value = null; insensitive = null; fill(rest, operator); return; }
      const list = fresh("values");
      value = booleans ? selectField({ label: "Value", value: before || "true", choices: [["true", "true"], ["false", "false"]] })
        : field({ label: "Value", control: (more) => h("input", { value: before, list, autocomplete: "off", spellcheck: "false", ...more }) });
      if (!booleans) complete(value, list, name.control.value.trim(), context);
      insensitive = takesCase(operator.control.value) ? checkbox("Whatever the case", { checked: one?.insensitive ?? false }) : null;
      fill(rest, operator, value, insensitive);
    };
    const draw = () => {
      const fitting = operatorsFor(kindOf());
      const before = operator?.control.value ?? one?.operator;
      operator = selectField({ label: "Condition", value: fitting.includes(before) ? before : fitting[0], choices: fitting.map((o) => [o, OPERATORS[o]]) });
      operator.control.addEventListener("change", drawValue);
      drawValue();
    };
    name.control.addEventListener("input", later(120, draw));
    draw();
    return h("form.stack", { onsubmit: (e) => {
      e.preventDefault();
      const chosen = name.control.value.trim();
      if (!chosen) return name.wrong("needs a value");
      if (value && value.control.value === "" && !["equal", "not-equal"].includes(operator.control.value)) return value.wrong("needs a value");
      return close({ attribute: chosen, operator: operator.control.value, value: value ? typed(value.control.value, kindOf()) : undefined, insensitive: insensitive?.control.checked ?? false });
    } }, name, rest, h("div.actions", h("button.main", { type: "submit" }, "Apply"), h("button", { type: "button", onclick: () => close() }, "Cancel")));
  }, { narrow: true });
}

/** The value as the attribute has it: numbers as numbers where it has nothing else. */
function typed(text, attribute) {
  const types = attribute?.types ?? [];
  if (types.length === 1 && types[0] === "boolean" && (text === "true" || text === "false")) return text === "true";
  if (types.length && types.every((t) => t === "integer" || t === "float") && text.trim() !== "" && Number.isFinite(Number(text)) && (Number.isSafeInteger(Number(text)) || !/^-?\d+$/.test(text))) return Number(text);
  return text;
}

/** Offers the most frequent values of an attribute. */
async function complete(f, id, attribute, { project, known }) {
  f.append(h("datalist", { id }));
  if (!known.has(attribute)) return;
  try {
    const answer = await api.post(at`/projects/${project}/query`, timed({ group: [attribute], order: [{ name: ";count", ordering: "descending" }], limit: 30 }, bounds({ since: "7d" })));
    fill(f.querySelector("datalist"), answer.rows.filter((r) => r.group[0] !== null).map((r) => h("option", { value: String(r.group[0]) })));
  } catch { /* the field works without */ }
}
