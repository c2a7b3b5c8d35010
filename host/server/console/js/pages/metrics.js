// Metric sets, one set with its metrics, one metric.

import * as api from "../lib/api.js";
import { at } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { count, fromMicros, number } from "../lib/format.js";
import { go, path } from "../lib/router.js";
import { may } from "../lib/session.js";
import { parse } from "../query/state.js";
import { words } from "../query/words.js";
import { card, copyable, empty, head } from "../parts/bits.js";
import { confirm, dialog, menu, prompt } from "../parts/dialog.js";
import { areaField, checkbox, selectField } from "../parts/fields.js";
import { listing } from "../parts/listing.js";
import { doing, failure, message, note } from "../parts/say.js";
import { joinEdit, lastWindows } from "./explore-export.js";

const trail = (project, ...more) => [[project, path`/p/${project}`], ["Metric Export"], ...more];
const exploreOf = (project, query, edit) => path`/p/${project}/explore` + `?${new URLSearchParams({ q: JSON.stringify(query), ...(edit ? { edit } : {}) })}`;

const storeLinks = (project, stores) => (stores.length === 0 ? h("span.none", "none")
  : [stores.slice(0, 6).map((s, i) => [i > 0 && ", ", h("a", { href: path`/p/${project}/stores/${s.name}` }, s.name)]), stores.length > 6 && ` and ${number(stores.length - 6)} more`]);

export async function metricSets({ params: { project }, query, signal }) {
  const { metric_sets: rows } = await api.all(at`/projects/${project}/metric-sets`, "metric_sets", { signal });
  const admin = may("admin", project);
  const make = async () => {
    const name = await prompt("New metric set", "Name", "", "Create", (value) => api.put(at`/projects/${project}/metric-sets/${value}`), "Metrics of a set go to the same stores.");
    if (name) go(path`/p/${project}/metric-sets/${name}`);
  };
  const button = () => h("button.main", { type: "button", onclick: make }, "New metric set");
  const table = listing({
    label: "Metric Sets", noun: "metric set", rows, query, text: (s) => `${s.name} ${s.metrics.map((m) => m.name).join(" ")}`,
    columns: [
      { label: "Metric Set", by: (s) => s.name, cell: (s) => h("a", { href: path`/p/${project}/metric-sets/${s.name}` }, s.name) },
      { label: "Metrics", by: (s) => s.metrics.length, cell: (s) => (s.metrics.length ? h("div", count(s.metrics.length, "metric"), h("div.small.soft", s.metrics.slice(0, 6).map((m) => m.name).join(", "), s.metrics.length > 6 && ", …")) : h("span.none", "none yet")), clip: true },
      { label: "Metric Stores", by: (s) => s.metric_stores.length, cell: (s) => storeLinks(project, s.metric_stores) },
      { label: "Rows, last window", number: true, by: (s) => s.last_window?.rows, cell: (s) => (s.last_window ? h("span", { title: `Rows with values in the window to ${fromMicros(s.last_window.end).toLocaleString()}` }, number(s.last_window.rows)) : h("span.dim", s.metric_stores.length ? "no window yet" : "not sent")) },
      { label: "Revision", number: true, by: (s) => s.revision, cell: (s) => number(s.revision) },
    ],
    empty: empty("No metric set yet", ["A metric is a question that is answered for each window of time. Ask it in Explore, and keep it with Export as Metric; that makes a set, too."], h("a.button.main", { href: path`/p/${project}/explore` }, "Explore"), admin && button()),
  });
  return { title: "Metric Sets", crumbs: trail(project), body: [head("Metric Sets", { lead: "What this project shares.", actions: admin && rows.length ? [button()] : [] }), table] };
}

export async function metricSet({ params: { project, set: name }, query, signal }) {
  const set = await api.get(at`/projects/${project}/metric-sets/${name}`, { signal });
  const stores = set.metric_stores;
  const admin = may("admin", project);
  const again = () => go(location.href, { replace: true });
  const [counts, known] = [new Map(), new Map()];
  const place = (m) => { const span = h("span.dim", "…"); counts.set(m.name, span); return span; };
  const table = listing({
    label: "Metrics", noun: "metric", rows: set.metrics, query, text: (m) => `${m.name} ${words(parse(m.query))}`,
    columns: [
      { label: "Metric", by: (m) => m.name, cell: (m) => h("a", { href: path`/p/${project}/metric-sets/${name}/${m.name}` }, m.name) },
      { label: "What it is", cell: (m) => words(parse(m.query)), clip: true },
      may("member", project) && { label: "Series now", number: true, cell: (m) => known.get(m.name) ?? place(m) },
      admin && { label: "Actions", hide: true, bare: true, fit: true, cell: (m) => metricMenu(project, name, m, stores, again, true) },
    ].filter(Boolean),
    empty: empty("No metric yet", "Ask a question in Explore and choose Export as Metric.", h("a.button.main", { href: path`/p/${project}/explore` }, "Explore")),
  });
  if (may("member", project)) countSeries(project, set, stores, counts, known, signal);
  const actions = admin ? [menu("More", [
    { label: "Rename", act: () => renameSet(project, name, set.series) },
    { label: "Delete", risky: true, act: () => removeSet(project, set, stores) },
  ])] : [];
  return {
    title: name, crumbs: trail(project, ["Metric Sets", path`/p/${project}/metric-sets`]),
    body: [head(name, { lead: `${count(set.metrics.length, "metric")}, revision ${number(set.revision)}`, actions: admin ? [h("a.button.main", { href: path`/p/${project}/explore` }, "Add a metric"), ...actions] : [] }), table,
      card("Metric Stores that get it", stores.length ? h("p", storeLinks(project, stores)) : h("p.soft", "None: nothing of this set is shared. ", admin && h("a", { href: path`/p/${project}/stores/new` }, "Make a store"), admin && " or edit one."))],
  };
}

/** One look after the other: a set may have many metrics, and each look is an evaluation. */
async function countSeries(project, set, stores, places, known, signal) {
  const period = stores[0]?.period ?? 60;
  for (const m of set.metrics) {
    if (signal.aborted) return;
    try {
      const { windows } = await api.post(at`/projects/${project}/metric-preview`, { query: m.query, period, windows: 2 }, { signal });
      known.set(m.name, number(windows[0].rows_in_all * windows[0].measures.length));
    } catch (error) {
      if (error.name === "AbortError") return;
      known.set(m.name, "unknown");
    }
    places.get(m.name)?.replaceChildren(known.get(m.name));
    places.get(m.name)?.classList.remove("dim");
  }
}

function metricMenu(project, set, m, stores, again, small) {
  return menu("More", [
    { label: "Edit in Explore", href: exploreOf(project, m.query, joinEdit(set, m.name)) },
    { label: "Edit as JSON", act: () => editJson(project, set, m, again) },
    { label: "Rename", act: () => renameMetric(project, set, m) },
    { label: "Move to another set", act: () => moveMetric(project, set, m) },
    { label: "Delete", risky: true, act: () => removeMetric(project, set, m, stores) },
  ], { small });
}

export async function metric({ params: { project, set, metric: name }, signal }) {
  const [m, { metric_stores: stores }] = await Promise.all([
    api.get(at`/projects/${project}/metric-sets/${set}/metrics/${name}`, { signal }), api.get(at`/projects/${project}/metric-sets/${set}`, { signal }),
  ]);
  const look = h("div.stack", h("p.soft", "Looking at the last windows …"));
  const period = stores[0]?.period ?? 60;
  if (!may("member", project)) fill(look, h("p.soft", "Members see the values here."));
  else lastWindows(project, m.query, { period, signal }).then(({ body }) => fill(look, body)).catch((error) => { const told = failure(error); if (told) fill(look, told); });
  const admin = may("admin", project);
  const again = () => go(location.href, { replace: true });
  return {
    title: name, crumbs: trail(project, ["Metric Sets", path`/p/${project}/metric-sets`], [set, path`/p/${project}/metric-sets/${set}`]),
    body: [
      head(name, { lead: words(parse(m.query)), actions: [may("member", project) && h("a.button", { href: exploreOf(project, m.query) }, "Explore"), admin && metricMenu(project, set, m, stores, again, false)].filter(Boolean) }),
      card("The last windows", look),
      card("The query", copyable(JSON.stringify(m.query, null, 2), "the query", { block: true })),
      card("Where it goes", stores.length ? h("p", `With the metric set ${set} to `, storeLinks(project, stores), ".") : h("p.soft", `Nowhere yet: the metric set ${set} is connected to no metric store. `, admin && h("a", { href: path`/p/${project}/stores/new` }, "Make a metric store"), admin && " or edit one.")),
    ],
  };
}

async function editJson(project, set, m, again) {
  const { document: now, tag } = await api.tagged(at`/projects/${project}/metric-sets/${set}/metrics/${m.name}`);
  return dialog(`The query of ${m.name}`, (close) => {
    const f = areaField({ label: "Query as JSON", code: true, rows: 14, value: JSON.stringify(now.query, null, 2) });
    const place = h("div");
    const look = h("div");
    const button = h("button.main", { type: "submit" }, "Save");
    const read = () => { f.wrong(""); try { return JSON.parse(f.control.value); } catch (error) { f.wrong(`This is not JSON: ${error.message}`); return null; } };
    return h("form.stack", { onsubmit: async (e) => {
      e.preventDefault();
      const json = read();
      if (!json) return;
      const saved = await doing(button, place, () => api.put(at`/projects/${project}/metric-sets/${set}/metrics/${m.name}`, { query: json }, api.onlyAs(tag)), "The metric was not saved");
      if (!saved) return;
      close();
      const dropped = saved.dropped_time_frame ?? [];
      note(dropped.length ? `${m.name} is saved; the time frame was dropped` : `${m.name} is saved`);
      again();
    } }, f, h("div", h("button", { type: "button", onclick: async (e) => {
      const json = read();
      if (json) await doing(e.target, look, async () => { const { body } = await lastWindows(project, json); fill(look, body); });
    } }, "Preview")), look, place, h("div.actions", button, h("button", { type: "button", onclick: () => close() }, "Cancel")));
  });
}

const SERIES = "From the next window on. Series that have the name of the set in them get another name on the other side; what is there stays under the old one.";

/** Graphs of other people ask for series by name, so a rename leaves those alone unless it is asked for. */
const followers = (series) => checkbox("Rename the series, too", { help: `They are called ${series} on the other side. Graphs and alerts that ask for that find nothing newer, from the next window on.` });

async function renameMetric(project, set, m) {
  const follow = followers(m.series);
  const to = await prompt(`Rename ${m.name}`, "Name", m.name, "Rename", (value) => api.post(at`/projects/${project}/metric-sets/${set}/metrics/${m.name}/move`, { name: value, rename_series: follow.control.checked }), null, follow);
  if (to) go(path`/p/${project}/metric-sets/${set}/${to}`);
}

async function renameSet(project, name, series) {
  const follow = followers(series);
  const to = await prompt(`Rename ${name}`, "Name", name, "Rename", (value) => api.post(at`/projects/${project}/metric-sets/${name}/rename`, { name: value, rename_series: follow.control.checked }), null, follow);
  if (to) go(path`/p/${project}/metric-sets/${to}`);
}

async function moveMetric(project, set, m) {
  const { metric_sets: sets } = await api.get(at`/projects/${project}/metric-sets`);
  const others = sets.filter((s) => s.name !== set);
  if (others.length === 0) { note("There is no other metric set in this project"); return; }
  const to = await dialog(`Move ${m.name}`, (close) => {
    const f = selectField({ label: "To the metric set", choices: others.map((s) => [s.name, s.name]), help: SERIES });
    const place = h("div");
    const button = h("button.main", { type: "submit" }, "Move");
    return h("form.stack", { onsubmit: async (e) => {
      e.preventDefault();
      const done = await doing(button, place, async () => { await api.post(at`/projects/${project}/metric-sets/${set}/metrics/${m.name}/move`, { metric_set: f.control.value }); return true; }, "The metric was not moved");
      if (done) close(f.control.value);
    } }, f, place, h("div.actions", button, h("button", { type: "button", onclick: () => close() }, "Cancel")));
  }, { narrow: true });
  if (to) { note(`${m.name} is in ${to}`); go(path`/p/${project}/metric-sets/${to}/${m.name}`); }
}

async function removeMetric(project, set, m, stores) {
  const done = await confirm(`Delete ${m.name}?`, [h("p", "No more values of it are shared; those that were stay where they are."), stores.length > 0 && message("warn", h("p", "These stores get it at the moment: ", stores.map((s) => s.name).join(", "), "."))].filter(Boolean), "Delete", () => api.remove(at`/projects/${project}/metric-sets/${set}/metrics/${m.name}`));
  if (done) { note(`${m.name} is deleted`); go(path`/p/${project}/metric-sets/${set}`); }
}

async function removeSet(project, set, stores) {
  const done = await confirm(`Delete ${set.name}?`, [h("p", `${count(set.metrics.length, "metric")} ${set.metrics.length === 1 ? "goes" : "go"} with it.`), stores.length > 0 && message("warn", h("p", "These stores get it at the moment: ", stores.map((s) => s.name).join(", "), ". Disconnect it there first."))].filter(Boolean), "Delete", () => api.remove(at`/projects/${project}/metric-sets/${set.name}`));
  if (done) { note(`${set.name} is deleted`); go(path`/p/${project}/metric-sets`); }
}
