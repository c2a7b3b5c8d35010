// Metric stores: the list, and one store with its tabs.

import { spark } from "../charts/spark.js";
import * as api from "../lib/api.js";
import { at } from "../lib/api.js";
import { fill, fresh, h } from "../lib/dom.js";
import { ago, duration, fromMicros, number, time } from "../lib/format.js";
import { every, go, link, note as remember, path } from "../lib/router.js";
import { may } from "../lib/session.js";
import { card, empty, facts, head, tabs } from "../parts/bits.js";
import { confirm, dialog, menu, prompt } from "../parts/dialog.js";
import { listing } from "../parts/listing.js";
import { message, note } from "../parts/say.js";
import { checkOrTest, preview, reading, target } from "./store-look.js";
import { versions } from "./store-adapter.js";
import { history } from "./store-history.js";
import { STATES, state } from "./states.js";

const RECENT = 30;

function columns(all) {
  return [
    { label: "Metric Store", by: "name", cell: (s) => h("a", { href: path`/p/${s.project}/stores/${s.name}` }, s.name) },
    all && { label: "Project", by: "project", cell: (s) => h("a", { href: path`/p/${s.project}/stores` }, s.project) },
    { label: "State", by: "status.state", cell: (s) => h("div", state(s.status.state), h("div.small.soft", s.status.summary)), clip: true, roomy: true },
    { label: "Last windows", cell: (s) => spark(s.recent ?? [], RECENT) },
    { label: "Adapter", by: "adapter", cell: (s) => h("span", s.adapter, " ", h("span.tag", s.status.direction)) },
    { label: "Metric Sets", cell: (s) => (s.metric_sets.length ? s.metric_sets.join(", ") : h("span.none", "none")), clip: true },
    { label: "Period", by: "period", number: true, cell: (s) => duration(s.period) },
    { label: "Last shared", by: "status.last_shared", cell: (s) => ago(fromMicros(s.status.last_shared)) },
    { label: "Next window", by: "status.next_window_end", cell: (s) => (s.paused ? h("span.dim", "paused") : ago(fromMicros(s.status.next_window_end))) },
    { label: "Oldest undelivered", by: "status.oldest_undelivered", cell: (s) => (s.status.oldest_undelivered ? ago(fromMicros(s.status.oldest_undelivered)) : h("span.dim", s.status.direction === "pull" ? "–" : "nothing waits")) },
  ].filter(Boolean);
}

async function list(root, { query, signal }, all, nothing) {
  let wanted = query.state ?? "";
  const id = fresh("state");
  const select = h("select", { id, onchange: () => {
    wanted = select.value;
    remember({ ...Object.fromEntries(new URLSearchParams(location.search)), state: wanted });
    table.anew();
  } }, h("option", { value: "" }, "Any state"), h("option", { value: "failing,retrying,credentials,adapter-fault,misconfigured,stale", selected: wanted.includes(",") }, "Needs a look"),
    Object.entries(STATES).map(([word, [, label]]) => h("option", { value: word, selected: word === wanted }, label)));
  const table = listing({
    label: "Metric Stores", noun: "metric store", columns: columns(all), query, signal, empty: nothing, filtered: () => wanted !== "",
    tools: [h("label.hidden", { for: id }, "State"), h("span", select)],
    fetch: async ({ find, sort, cursor, limit }) => {
      const asked = new URLSearchParams({ limit, recent: RECENT });
      if (find) asked.set("search", find);
      if (sort) asked.set("sort", sort);
      if (cursor) asked.set("cursor", cursor);
      for (const state of wanted.split(",").filter(Boolean)) asked.append("status.state", state);
      const got = await api.get(`${root}?${asked}`, { signal });
      return { rows: got.metric_stores, total: got.total, next: got.next };
    },
  });
  await table.ready;
  every(signal, 10, () => { if (!table.contains(document.activeElement) || document.activeElement.matches("input, select")) table.refresh().catch(() => {}); });
  return table;
}

export async function stores({ params: { project }, ...context }) {
  const admin = may("admin", project);
  const make = admin && h("a.button.main", { href: path`/p/${project}/stores/new` }, "New metric store");
  const nothing = empty("No metric store yet", "A metric store shares metric sets with one monitoring system: it sends to Circonus, Datadog, Graphite, Grafana Cloud or InfluxDB, or lets Prometheus read a page.", make && make.cloneNode(true));
  const table = await list(at`/projects/${project}/stores`, context, false, nothing);
  return { title: "Metric Stores", crumbs: [[project, path`/p/${project}`], ["Metric Export"]], body: [head("Metric Stores", { lead: "Where the metrics of this project go.", actions: make ? [make] : [] }), table] };
}

export async function allStores(context) {
  const table = await list("/stores", context, true, empty("No metric store yet", "Open a project and add one under Metric Export.", h("a.button", { href: link("/") }, "Projects")));
  return { title: "All Metric Stores", body: [head("All Metric Stores", { lead: "Of all projects that you may see." }), table] };
}

export async function store({ params: { project, store: name }, query, signal }) {
  const root = at`/projects/${project}/stores/${name}`;
  const tab = query.tab ?? "overview";
  let found = await api.get(root, { signal });
  const admin = may("admin", project);
  const again = () => go(location.href, { replace: true });
  const top = h("div.stack");
  const drawTop = () => fill(top, statusCard(found));
  drawTop();
  const tabHref = (key) => path`/p/${project}/stores/${name}` + (key === "overview" ? "" : `?tab=${key}`);
  const pulls = found.status.direction === "pull";
  const bodies = {
    overview: () => overview(found, admin, again, signal),
    preview: () => preview(root, found, signal),
    test: () => (admin ? checkOrTest(root, found) : overview(found, admin, again, signal)),
    history: () => history(root, found, query, signal, admin),
    adapter: () => versions(root, found, query, signal, admin),
  };
  const body = await (bodies[tab] ?? bodies.overview)();
  every(signal, 5, async () => {
    try { found = await api.get(root, { signal }); drawTop(); } catch { /* the next look may succeed */ }
  });
  const act = async (word, said) => { await api.post(`${root}/${word}`).then(() => note(said), (e) => note(e.message)); again(); };
  const actions = admin ? [
    h("a.button", { href: path`/p/${project}/stores/${name}/edit` }, "Edit"),
    h("button", { type: "button", onclick: () => (found.paused ? act("resume", `${name} goes on`) : act("pause", `${name} is paused; windows queue up`)) }, found.paused ? "Resume" : "Pause"),
    menu("More", [
      { label: "Rename", act: () => rename(project, name, root) },
      pulls && { label: "New URL and login", act: () => rotate(root, name, again) },
      { label: "Delete", risky: true, act: () => removeStore(project, name, root, found) },
    ]),
  ] : [];
  return {
    title: name, crumbs: [[project, path`/p/${project}`], ["Metric Export"], ["Metric Stores", path`/p/${project}/stores`]],
    body: [head(name, { lead: h("span", h("a", { href: path`/adapters/${found.adapter_version?.digest ?? found.adapter}` }, found.adapter), found.adapter_version?.version && ` ${found.adapter_version.version}`, `, every ${duration(found.period)}`), actions }), top,
      tabs("Metric store", [["Overview", tabHref("overview"), "overview"], ["Preview", tabHref("preview"), "preview"], !pulls && admin && ["Test", tabHref("test"), "test"], ["Windows", tabHref("history"), "history"], found.adapter_version && ["Adapter", tabHref("adapter"), "adapter"]].filter(Boolean), tab), body],
  };
}

function statusCard(found) {
  const { status } = found;
  const pulls = status.direction === "pull";
  const kind = STATES[status.state]?.[0];
  return h("section.card", { "aria-label": "Status" },
    h("div.row", state(status.state), h("span.soft", status.summary)),
    found.adapter_version?.update && message("hint", h("p", `Version ${found.adapter_version.update.version} of the adapter is there; the tab Adapter compares it.`)),
    status.problem && !status.summary.includes(status.problem) && message(kind === "bad" ? "bad" : "warn", h("p", status.problem)),
    status.note && message("warn", h("p", status.note)),
    status.folded.map((f) => message("warn", h("p", `${f.metric_set}/${f.metric} had too many groups: ${number(f.groups)} of them share the row “other”.`))),
    facts([
      [pulls ? "Last read" : "Last shared", ago(fromMicros(status.last_shared))],
      ["Newest window ended", time(fromMicros(status.last_window_end))],
      ["Next window ends", found.paused ? "when resumed" : ago(fromMicros(status.next_window_end))],
      status.next_try && ["Next try, at the earliest", ago(fromMicros(status.next_try))],
      !pulls && ["Oldest undelivered", status.oldest_undelivered ? time(fromMicros(status.oldest_undelivered)) : "nothing waits"],
      !pulls && ["Windows", `${number(status.deliveries.confirmed)} arrived, ${number(status.deliveries.queued)} waiting, ${number(status.deliveries.rejected)} rejected, ${number(status.deliveries.expired)} expired`],
      !pulls && ["Rows", `${number(status.deliveries.accepted_rows)} accepted, ${number(status.deliveries.rejected_rows)} rejected`],
      pulls && ["Pages read since the start", number(status.pages)],
      ["Rows per window now", number(status.rows)],
    ]));
}

async function overview(found, admin, again, signal) {
  const pushes = found.status.direction !== "pull";
  // The version that it uses may be gone; then nothing is sent, and the state says so.
  const adapter = pushes ? await api.get(at`/adapters/${found.adapter_version?.digest ?? found.adapter}`, { signal }).catch(() => null) : null;
  const sets = card("Metric Sets", found.metric_sets.length
    ? h("ul", found.metric_sets.map((set) => h("li", h("a", { href: path`/p/${found.project}/metric-sets/${set}` }, set))))
    : h("p", "None is connected, so nothing is shared. ", admin && h("a", { href: path`/p/${found.project}/stores/${found.name}/edit` }, "Connect one")));
  const settings = Object.entries(found.settings);
  return h("div.stack.wide",
    found.pull && reading(found, admin, again),
    adapter && target(found, adapter),
    h("div.cards.two", sets, card("Settings", settings.length ? h("div.table-plain", h("table", h("tbody", settings.map(([key, value]) => h("tr", h("th", { scope: "row" }, key), h("td.break", value === "…" ? h("span.dim", "set, not shown") : String(value))))))) : h("p.soft", "Everything is as the adapter has it."))));
}

async function rename(project, name, root) {
  const to = await prompt("Rename the store", "Name", name, "Rename", (value) => api.post(`${root}/rename`, { name: value }), "No series changes: the name of a store is in none.");
  if (to) go(path`/p/${project}/stores/${to}`);
}

async function rotate(root, name, again) {
  const done = await confirm("Make a new URL and login?", [h("p", `Whoever reads ${name} with the present ones is refused at once, and has to be given the new ones.`)], "Make new ones", () => api.post(`${root}/pull-token`));
  if (done) { note("The store has a new URL"); again(); }
}

async function removeStore(project, name, root, found) {
  const waiting = found.status.deliveries.queued;
  const done = await dialog("Delete the store?", (close) => {
    const place = h("div");
    const run = (backlog) => async () => {
      try { await api.remove(`${root}?backlog=${backlog}`); close(true); } catch (e) { fill(place, message("bad", e.message)); }
    };
    return [h("p", `${name} is gone for good. What it has shared stays where it is; its metric sets stay, too.`), waiting > 0 && h("p", `${number(waiting)} windows wait for it. Deliver them first, or let them expire?`), place,
      h("div.actions", waiting > 0 && h("button.main", { type: "button", onclick: run("drain") }, "Deliver, then delete"), h("button.risky", { type: "button", onclick: run("expire") }, waiting > 0 ? "Delete now" : "Delete"), h("button", { type: "button", onclick: () => close() }, "Cancel"))];
  }, { narrow: true });
  if (done) { note(`${name} is deleted`); go(path`/p/${project}/stores`); }
}
