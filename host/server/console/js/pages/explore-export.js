// Export as Metric: a name, a metric set, a look at the last windows. A question that cannot be a metric says why and offers the
// nearest one that can.

import * as api from "../lib/api.js";
import { at } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { count, duration, fromSeconds, number, time } from "../lib/format.js";
import { go, path } from "../lib/router.js";
import { parse, toJson } from "../query/state.js";
import { foldWords, words } from "../query/words.js";
import { dialog } from "../parts/dialog.js";
import { selectField, summary, textField } from "../parts/fields.js";
import { plain } from "../parts/listing.js";
import { doing, failure, message, note } from "../parts/say.js";

const NEW = " new";

/** What a metric would be made of: without folds, the events are counted. */
export function metricJson(state) {
  const json = toJson(state);
  if (!json.fold && !json.select) json.fold = { _tx: [["count"]] };
  return json;
}

/** The values of a query in its last windows, as a table; why not, if it cannot be a metric. */
export async function lastWindows(project, json, { period = 60, windows = 6, signal, adopt } = {}) {
  try {
    const got = await api.post(at`/projects/${project}/metric-preview`, { query: json, period, windows }, { signal });
    return { fits: true, body: windowTable(got, period), dropped: got.dropped_time_frame, got };
  } catch (error) {
    if (error.status !== 422) throw error;
    const { nearest } = error.document;
    const reason = error.message.replace(/^query: /, "").replace(/\. The nearest query that can be a metric: .*$/s, "");
    return { fits: false, body: message("warn", h("h3", "This cannot be a metric"), h("p", `${reason}.`),
      nearest && [h("p", `The nearest that can: ${words(parse(nearest))}.`), adopt && h("button.small", { type: "button", onclick: () => adopt(nearest) }, "Use that query")]) };
  }
}

function windowTable({ windows }, period) {
  const [last] = windows.slice(-1);
  const names = last.measures.map((m) => foldWords({ attribute: m.attribute, fold: m.aggregate }));
  const label = (row, w) => (w.dimensions.length ? w.dimensions.map((_, i) => row.group[i] ?? "not set").join(" · ") : "all events");
  // Rows of the newest whole window, and what they were before.
  const shown = windows.slice(-4);
  const whole = shown.at(-2) ?? shown.at(-1);
  const keys = new Map();
  for (const w of [whole, ...shown]) for (const row of w.rows) if (keys.size < 12) keys.set(label(row, w), row.group);
  const series = (whole.rows_in_all ?? whole.rows.length) * names.length;
  const find = (w, key) => w.rows.find((row) => label(row, w) === key);
  return h("div.stack",
    plain("Values of the last windows", [last.dimensions.length ? last.dimensions.join(" · ") : "Series", ...shown.map((w, i) => ({ number: true, label: h("span", time(fromSeconds(w.window.end), "clock"), i === shown.length - 1 && h("div.small.dim", "in progress")) }))],
      [...keys.keys()].flatMap((key) => names.map((name, m) => [h("div", key, h("div.small.soft", name)), ...shown.map((w) => { const row = find(w, key); return number(row ? row.values[m] : null); })]))),
    h("p.small.soft", `${count(series, "series", "series")} in the last whole window of ${duration(period)}${keys.size < whole.rows_in_all ? `; the first ${number(keys.size)} groups are shown` : ""}. Windows are cut by the time of arrival.`));
}

export function exportMetric(project, state, adopt) {
  return dialog("Export as Metric", (close) => {
    const look = h("div.stack", { "aria-live": "polite" }, h("p.soft", "Looking at the last windows …"));
    const name = textField({ label: "Name of the metric", required: true, maxlength: 100, help: "Letters, digits and _ go through every monitoring system unchanged.", value: suggestion(state) });
    const setPlace = h("div.stack");
    const top = summary();
    const button = h("button.main", { type: "submit" }, "Save metric");
    button.disabled = true;
    let set;
    let made;
    const timeFrame = state.range.since !== "all" || state.filter.flat().some((c) => c.attribute === "timestamp");
    api.get(at`/projects/${project}/metric-sets`).then(({ metric_sets: sets }) => {
      set = selectField({ label: "Metric Set", choices: [...sets.map((s) => [s.name, s.name]), [NEW, "New metric set …"]], value: sets[0]?.name ?? NEW, help: "Stores are connected to sets; all metrics of a set go together." });
      made = textField({ label: "Name of the new set", maxlength: 100, value: sets.length ? "" : "crashes" });
      const draw = () => { made.hidden = set.control.value !== NEW; };
      set.control.addEventListener("change", draw);
      draw();
      fill(setPlace, set, made);
    }).catch((error) => fill(setPlace, failure(error)));
    lastWindows(project, metricJson(state), { adopt: (json) => { close(); adopt(json); } }).then(({ fits, body }) => {
      button.disabled = !fits;
      fill(look, body);
    }).catch((error) => fill(look, failure(error, "The last windows cannot be shown")));
    return h("form.stack", { novalidate: true, onsubmit: (e) => {
      e.preventDefault();
      const faults = [];
      name.wrong("");
      made?.wrong("");
      const into = set?.control.value === NEW ? made.control.value.trim() : set?.control.value;
      if (!name.control.value.trim()) faults.push({ field: name, text: "needs a value" });
      if (!into) faults.push({ field: made, text: "needs a value" });
      top.tell(faults);
      if (faults.length) return;
      doing(button, null, async () => {
        const called = name.control.value.trim();
        try {
          if (set.control.value === NEW) await api.put(at`/projects/${project}/metric-sets/${into}`);
          await api.put(at`/projects/${project}/metric-sets/${into}/metrics/${called}`, { query: metricJson(state) }, api.onlyNew);
        } catch (error) {
          if (error.status === 412) return top.tell([{ field: name, text: `${into} has a metric of this name already` }]);
          return top.tell([{ field: null, text: error.message }]); }
        close();
        note(`${called} is in the metric set ${into}`);
        return go(path`/p/${project}/metric-sets/${into}/${called}`);
      });
    } },
      h("p", h("strong", words(parse(metricJson(state)))), "."), top, name, setPlace,
      timeFrame && message("hint", h("p", "The time range is dropped: a metric has a value for each window, and the window decides which events count.")),
      h("h3", "The last windows"), look,
      h("div.actions", button, h("button", { type: "button", onclick: () => close() }, "Cancel")));
  });
}

function suggestion(state) {
  const what = state.fold.length === 0 ? "events" : state.fold.map((f) => (f.attribute === "_tx" ? "events" : `${f.fold}_${f.attribute}`)).join("_");
  const by = state.group.length ? `_by_${state.group.join("_")}` : "";
  return `${what}${by}`.toLowerCase().replace(/[^a-z0-9_]+/g, "_").slice(0, 60);
}

/** Puts the query of Explore into the metric that is being changed. */
export async function saveMetric(project, state) {
  const [set, metric] = splitEdit(state.edit);
  const { document: now, tag } = await api.tagged(at`/projects/${project}/metric-sets/${set}/metrics/${metric}`);
  return dialog(`Save ${set}/${metric}`, (close) => {
    const look = h("div.stack", { "aria-live": "polite" }, h("p.soft", "Looking at the last windows …"));
    const place = h("div");
    const button = h("button.main", { type: "button", onclick: () => doing(button, place, async () => {
      await api.put(at`/projects/${project}/metric-sets/${set}/metrics/${metric}`, { query: metricJson(state) }, api.onlyAs(tag));
      close();
      note(`${metric} is saved`);
      await go(path`/p/${project}/metric-sets/${set}/${metric}`);
    }, "The metric was not saved") }, "Save");
    button.disabled = true;
    lastWindows(project, metricJson(state)).then(({ fits, body }) => { button.disabled = !fits; fill(look, body); }).catch((e) => fill(look, failure(e)));
    return [h("p", h("strong", words(parse(metricJson(state)))), "."), h("p", "Until now: ", words(parse(now.query)), "."), h("p.soft", "Windows that begin from now on are evaluated with it; those before keep their values."), look, place,
      h("div.actions", button, h("button", { type: "button", onclick: () => close() }, "Cancel"))];
  });
}

/** "set/metric"; both parts are percent-encoded, since names may hold slashes. */
export const joinEdit = (set, metric) => `${encodeURIComponent(set)}/${encodeURIComponent(metric)}`;
const splitEdit = (text) => text.split("/").map(decodeURIComponent);

