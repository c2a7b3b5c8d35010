// Explore: ask about the events of a project, look at the answer, and keep the question as a metric.

import * as api from "../lib/api.js";
import { at } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { count, duration, number } from "../lib/format.js";
import { note as remember, path } from "../lib/router.js";
import { may } from "../lib/session.js";
import { events, groups } from "../query/run.js";
import { fromAddress, parse, toAddress, toJson, within } from "../query/state.js";
import { words } from "../query/words.js";
import { card, choices, empty, head } from "../parts/bits.js";
import { dialog } from "../parts/dialog.js";
import { areaField } from "../parts/fields.js";
import { announce, failure, message } from "../parts/say.js";
import { controls } from "./explore-ask.js";
import { exportMetric, saveMetric } from "./explore-export.js";
import { eventTable, groupResults } from "./explore-results.js";

export async function explore({ params: { project }, query, signal }) {
  const { attributes } = await api.all(at`/projects/${project}/describe`, "attributes", { signal });
  const state = fromAddress(query);
  const ask = h("div");
  const result = h("div.stack", { "aria-live": "off" });
  let running = null;

  const change = (work) => {
    work(state);
    if (state.measure > state.fold.length) state.measure = 0;
    state.page = 0;
    moved();
  };
  const moved = () => {
    remember(toAddress(state), { replace: false });
    const focused = document.activeElement?.getAttribute?.("aria-label") ?? document.activeElement?.textContent;
    draw();
    // The controls were made anew: the focus goes back to where it was, or as near as can be.
    const same = [...ask.querySelectorAll("button, select, input")].find((e) => (e.getAttribute("aria-label") ?? e.textContent) === focused);
    (same ?? ask.querySelector("button"))?.focus({ preventScroll: true });
    run();
  };
  const draw = () => fill(ask, controls({ state, attributes, project, change }));

  async function run() {
    running?.abort();
    const mine = new AbortController();
    running = mine;
    signal.addEventListener("abort", () => mine.abort());
    const bar = h("progress", { max: 1, "aria-label": "Progress" });
    const said = h("span.soft", "Asking …");
    const box = h("div.progress", { role: "status" }, bar, said, h("button.small", { type: "button", onclick: () => mine.abort() }, "Cancel"));
    // A quick answer should not flicker.
    const slow = setTimeout(() => fill(result, box), 180);
    result.setAttribute("aria-busy", "true");
    const progress = ({ done, total, events: seen }) => {
      if (total) { bar.max = total; bar.value = done; }
      said.textContent = `${number(done)} of ${count(total, "portion")} read, ${count(seen, "event")} so far`;
    };
    try {
      const asked = { signal: mine.signal, progress };
      const answer = state.select ? await events(project, state, asked) : await groups(project, state, asked);
      clearTimeout(slow);
      if (running !== mine) return;
      const unknown = answer.unknown_attributes.filter((name) => name !== "timestamp");
      fill(result, summaryLine(answer), unknown.length > 0 && message("warn", h("p", `No event ever had ${unknown.join(", ")}; is it spelt right?`)),
        answer.events === 0 ? nothing(project, state, change, attributes.some((a) => !a.built_in)) : state.select ? eventTable(project, state, answer, { turn }) : groupResults(project, state, answer, { change: moved, drill, signal: mine.signal }));
      announce(`${count(answer.events, "event")} found`);
    } catch (error) {
      clearTimeout(slow);
      if (running !== mine) return;
      if (error.name === "AbortError") { if (!signal.aborted) fill(result, message("hint", h("p", "Cancelled. The server has stopped, too."), h("button", { type: "button", onclick: run }, "Run again"))); } else fill(result, failure(error, "The query has no answer"));
    } finally {
      result.removeAttribute("aria-busy");
    }
  }
  const summaryLine = (answer) => h("p.small.soft", `${count(answer.events, "event")} found among ${number(answer.scanned)}, in ${answer.seconds < 0.001 ? "less than a millisecond" : answer.seconds < 1 ? duration(answer.seconds) : `${number(Number(answer.seconds.toPrecision(2)))} s`}.`,
    !state.select && state.group.length > 0 ? ` ${count(answer.groups, "group")}${answer.groups > answer.rows.length ? `, the first ${number(answer.rows.length)} are shown` : ""}.` : "");
  const turn = (page) => { state.page = page; moved(); };
  const drill = (key) => {
    const json = within(toJson(state), state.group, key);
    const next = parse({ filter: json.filter });
    state.filter = next.filter;
    state.select = columnsFor(attributes, state.group);
    state.page = 0;
    moved();
  };

  draw();
  run();
  const mode = choices("What to list", [["groups", "Groups"], ["events", "Events"]], state.select ? "events" : "groups", (picked) => change((s) => { s.select = picked === "events" ? columnsFor(attributes, s.group) : null; }));
  const save = state.edit
    ? h("button.main", { type: "button", onclick: () => saveMetric(project, state) }, `Save metric ${state.edit}`)
    : h("button.main", { type: "button", onclick: () => exportMetric(project, state, (json) => change((s) => Object.assign(s, { ...parse(json), range: s.range, view: s.view, edit: s.edit }))) }, "Export as Metric");
  return {
    title: "Explore", crumbs: [[project, path`/p/${project}`]],
    body: [
      head("Explore", { lead: state.edit ? `You are changing the query of the metric ${state.edit}.` : "Ask about errors and crashes, and keep an answer as a metric.", actions: [may("admin", project) && save].filter(Boolean) }),
      card(null, ask, h("div.row.spread", h("div.row", mode, h("button", { type: "button", onclick: run }, "Run"), h("button.plain", { type: "button", onclick: () => editJson(state, (json) => change((s) => Object.assign(s, { ...parse(json), range: s.range, view: s.view, edit: s.edit }))) }, "As JSON")))),
      result,
    ],
  };
}

function columnsFor(attributes, group) {
  const known = new Set(attributes.map((a) => a.name));
  const wanted = ["timestamp", "error.type", "error.message", "application.version", "app.version", "hostname"].filter((name) => known.has(name));
  return [...new Set([...wanted.slice(0, 1), ...group.filter((name) => known.has(name)), ...wanted.slice(1)])];
}

function nothing(project, state, change, filled) {
  const narrow = filled && (state.filter.length > 0 || state.range.since !== "all");
  return h("div.card", narrow
    ? empty("No event fits", "Nothing in this time range meets the conditions.", h("button", { type: "button", onclick: () => change((s) => { s.range = { since: "all" }; }) }, "Look at all time"), state.filter.length > 0 && h("button", { type: "button", onclick: () => change((s) => { s.filter = []; }) }, "Remove the conditions"))
    : empty("No event yet", "Send the first one: Project Settings has the URL and a token for clients.", h("a.button.main", { href: path`/p/${project}` }, "Project Settings")));
}

function editJson(state, apply) {
  return dialog("The query as JSON", (close) => {
    const f = areaField({ label: "Query", code: true, rows: 16, value: JSON.stringify(toJson(state), null, 2), help: "Backtrace's query JSON, without the time range." });
    return h("form.stack", { onsubmit: (e) => {
      e.preventDefault();
      let json;
      try { json = JSON.parse(f.control.value || "{}"); parse(json); } catch (error) { return f.wrong(`This is no query: ${error.message}`); }
      close();
      return apply(json);
    } }, h("p.soft", `In words: ${words(state)}.`), f, h("div.actions", h("button.main", { type: "submit" }, "Apply"), h("button", { type: "button", onclick: () => close() }, "Cancel")));
  });
}
