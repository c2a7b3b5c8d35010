// The answer: groups as a table beside a picture, or events as a list that leads to single reports.

import { bars } from "../charts/bars.js";
import { series } from "../charts/series.js";
import { fill, fresh, h } from "../lib/dom.js";
import { count, duration, fromSeconds, number, time, value } from "../lib/format.js";
import { path } from "../lib/router.js";
import { EVENTS, groupName, measureOf, measures, overTime } from "../query/run.js";
import { foldWords } from "../query/words.js";
import { choices } from "../parts/bits.js";
import { listing, plain } from "../parts/listing.js";
import { failure } from "../parts/say.js";

export function groupResults(project, state, answer, { change, drill, signal }) {
  const known = measures(state);
  const measure = known.find((m) => m.index === state.measure) ?? known[0];
  const picture = h("div");
  const draw = async () => {
    if (state.view === "bars" && state.group.length) {
      fill(picture, bars({ label: `Largest groups by ${measure.label}`, unit: measure.label, rows: answer.rows.slice(0, 20).map((row) => ({ name: groupName(row.group), value: numeric(measureOf(row, measure.index)) })) }));
      return;
    }
    try {
      const found = await overTime(project, state, answer, { signal });
      if (!found) { fill(picture, h("p.soft", "No event has a time.")); return; }
      fill(picture, series({ label: `${measure.label} over time, a value for each ${duration(found.step)}`, unit: measure.label, ...found }),
        h("details", h("summary", "Values as a table"), plain("Values over time", ["Time", ...found.lines.map((l) => ({ label: l.name, number: true }))], found.lines[0].points.map(([t], i) => [time(fromSeconds(t)), ...found.lines.map((l) => number(l.points[i][1]))]))));
    } catch (error) {
      const told = failure(error, "The picture over time cannot be drawn");
      if (told) fill(picture, told);
    }
  };
  draw();
  const id = fresh("measure");
  const pick = known.length > 1 && h("div.row", h("label", { for: id }, "Largest by"), h("span", h("select", { id, onchange: (e) => { state.measure = Number(e.target.value); change(); } }, known.map((m) => h("option", { value: m.index, selected: m === measure }, m.label)))));
  const view = state.group.length > 0 && choices("Picture", [["time", "Over time"], ["bars", "Largest groups"]], state.view, (v) => { state.view = v; change(); });
  const chart = h("section.card", { "aria-label": "Picture" }, h("div.row.spread", h("h2", `${measure.label[0].toUpperCase()}${measure.label.slice(1)}`), h("div.row", pick, view)), picture);
  if (state.group.length === 0) return h("div.stack", chart, totals(state, answer, drill));
  return h("div.stack", chart, groupTable(state, answer, drill));
}

const numeric = (v) => (typeof v === "number" ? v : null);

function totals(state, answer, drill) {
  const row = answer.rows[0];
  return h("section.card", h("div.row.spread", h("h2", "In all"), h("button.small", { type: "button", onclick: () => drill([]) }, "Show the events")),
    h("dl.facts", h("div", h("dt", "Events"), h("dd", number(row?.events ?? 0))), state.fold.map((f, i) => h("div", h("dt", foldWords(f)), h("dd", cell(row?.values[i], f.fold))))));
}

function groupTable(state, answer, drill) {
  return listing({
    label: "Groups", noun: "group", rows: answer.rows, keys: ["find", "sort", "gpage"],
    query: Object.fromEntries(new URLSearchParams(location.search)), text: (row) => groupName(row.group),
    columns: [
      ...state.group.map((name, i) => ({ label: name, by: (row) => row.group[i], cell: (row) => (i === 0 ? h("button.plain.small", { type: "button", title: "Show the events of this group", onclick: () => drill(row.group) }, value(row.group[i])) : value(row.group[i])), clip: true })),
      { label: "events", number: true, by: (row) => row.events, cell: (row) => number(row.events) },
      ...state.fold.map((f, i) => ({ label: foldWords(f), number: !["histogram", "distribution", "bin"].includes(f.fold), by: (row) => (Array.isArray(row.values[i]) ? row.values[i][0] : row.values[i]), cell: (row) => cell(row.values[i], f.fold) })),
    ],
  });
}

/** A value of an aggregate; those that are no number are written out. */
function cell(v, fold) {
  if (v === null || v === undefined) return h("span.dim", "–");
  if (fold === "range") return `${number(v[0])} to ${number(v[1])}`;
  if (fold === "bin") return v.map(([from, to, n]) => `${number(from)}–${number(to)}: ${number(n)}`).join(", ");
  if (fold === "histogram") return list(v, 0);
  if (fold === "distribution") return list(v.values, v.tail);
  return value(v);
}

function list(values, tail) {
  const shown = values.slice(0, 8);
  const rest = values.slice(8).reduce((sum, [, n]) => sum + n, 0) + (tail ?? 0);
  return h("span", shown.map(([v, n], i) => [i > 0 && ", ", value(v), ` (${number(n)})`]), rest > 0 && `, others (${number(rest)})`);
}

export function eventTable(project, state, answer, { turn }) {
  const columns = answer.columns.map((c, i) => ({
    label: c.name, clip: true,
    cell: (row) => {
      const v = row.values[i];
      const shown = c.name === "timestamp" && typeof v === "number" ? time(fromSeconds(v)) : short(v);
      return i === 0 ? h("a", { href: path`/p/${project}/events/${row.object}` }, shown) : shown;
    },
    by: (row) => row.values[i],
  }));
  if (columns.length === 0) columns.push({ label: "Event", cell: (row) => h("a", { href: path`/p/${project}/events/${row.object}` }, row.object) });
  const first = state.page * EVENTS;
  const table = listing({ label: "Events", noun: "event on this page", nouns: "events on this page", rows: answer.rows, columns, keys: ["find", "sort", "epage"], query: Object.fromEntries(new URLSearchParams(location.search)), text: (row) => row.values.join(" ") });
  return h("div.stack", table, answer.events > EVENTS && h("div.row.spread",
    h("span.small.soft", `${number(first + 1)}–${number(first + answer.rows.length)} of ${count(answer.events, "event")}, newest first`),
    h("div.row", h("button", { type: "button", disabled: state.page === 0, onclick: () => turn(state.page - 1) }, "Newer"), h("button", { type: "button", disabled: first + answer.rows.length >= answer.events, onclick: () => turn(state.page + 1) }, "Older"))));
}

function short(v) {
  if (typeof v === "string" && v.length > 160) return `${v.slice(0, 157)}…`;
  return value(v);
}
