// Makes and changes metric stores. The form is made from what the adapter says of its settings.

import * as api from "../lib/api.js";
import { at } from "../lib/api.js";
import { fill, fresh, h } from "../lib/dom.js";
import { go, note as remember, path } from "../lib/router.js";
import { empty, head } from "../parts/bits.js";
import { checkbox, field, summary, textField } from "../parts/fields.js";
import { settingsForm } from "../parts/schema.js";
import { doing, failure, note } from "../parts/say.js";

const DIRECTION = { push: "Tidegate sends", pull: "It reads a page", both: "Either way" };

export async function newStore({ params: { project }, query, signal }) {
  const [{ adapters }, { metric_sets: sets }] = await Promise.all([api.all("/adapters", "adapters", { signal }), api.all(at`/projects/${project}/metric-sets`, "metric_sets", { signal })]);
  const crumbs = [[project, path`/p/${project}`], ["Metric Export"], ["Metric Stores", path`/p/${project}/stores`]];
  // Of several versions, a new store gets the one that counts.
  const offered = adapters.filter((a) => a.default !== false);
  if (offered.length === 0) return { title: "New metric store", crumbs, body: [head("New metric store"), empty("No adapter", "The host has none, so no store can be made. Ask the operator.")] };
  const place = h("div.stack.wide");
  const name = fresh("adapter");
  let wanted = null;
  const pick = async (adapter) => {
    wanted = adapter;
    remember({ ...query, adapter });
    const shown = await api.get(at`/adapters/${adapter}`, { signal }).then((known) => form(project, known, sets, null)).catch(failure);
    // Answers may come in another order than they were asked for: the form is that of the last choice.
    if (adapter === wanted) fill(place, shown);
  };
  const picker = h("fieldset", h("legend", "Which monitoring system?"), h("div.pickers", offered.map((a) => h("label.pick",
    h("input", { type: "radio", name, value: a.name, checked: a.name === query.adapter, onchange: () => pick(a.name) }),
    h("div", h("strong", a.name), h("span", a.summary || a.vendor), h("div", h("span.tag", DIRECTION[a.direction] ?? a.direction)))))));
  if (query.adapter) await pick(query.adapter);
  return { title: "New metric store", crumbs, body: [head("New metric store"), h("section.card", picker), place] };
}

export async function editStore({ params: { project, store }, signal }) {
  const { document: found, tag } = await api.tagged(at`/projects/${project}/stores/${store}`, { signal });
  const [adapter, { metric_sets: sets }] = await Promise.all([api.get(at`/adapters/${found.adapter}`, { signal }), api.all(at`/projects/${project}/metric-sets`, "metric_sets", { signal })]);
  return {
    title: "Edit", crumbs: [[project, path`/p/${project}`], ["Metric Export"], ["Metric Stores", path`/p/${project}/stores`], [store, path`/p/${project}/stores/${store}`]],
    body: [head(`Edit ${store}`, { lead: `Adapter ${found.adapter}` }), form(project, adapter, sets, found, tag)],
  };
}

function form(project, adapter, sets, found, tag) {
  const name = found ? null : textField({ label: "Name", required: true, maxlength: 100, value: "", help: "How this store is called in Tidegate. No series has it in its name.", placeholder: adapter.name });
  const period = field({ label: "Period", help: "Seconds. A value is shared for each window of this length; windows start at multiples of it.",
    control: (more) => h("div.suffixed", h("input", { type: "number", min: 1, max: 86400, step: 1, required: true, value: found?.period ?? 60, ...more }), h("span", "seconds")) });
  const settings = settingsForm(adapter.settings, found?.settings ?? {}, { editing: Boolean(found) });
  const boxes = sets.map((set) => checkbox(set.name, { value: set.name, checked: found ? found.metric_sets.includes(set.name) : sets.length === 1, help: set.metrics.map((m) => m.name).join(", ") || "no metrics yet" }));
  const top = summary();
  const button = h("button.main", { type: "submit" }, found ? "Save" : "Create store");
  return h("form.card", { novalidate: true, onsubmit: (e) => {
    e.preventDefault();
    const faults = [];
    if (name) {
      name.wrong("");
      if (!name.control.value.trim()) faults.push({ field: name, text: "needs a value" });
    }
    period.wrong("");
    const seconds = Number(period.control.value);
    if (!Number.isInteger(seconds) || seconds < 1 || seconds > 86400) faults.push({ field: period, text: "must be 1 to 86,400 seconds" });
    faults.push(...settings.faults());
    top.tell(faults);
    if (faults.length) return;
    const called = found ? found.name : name.control.value.trim();
    const body = { adapter: adapter.name, period: seconds, settings: settings.value(), metric_sets: boxes.filter((b) => b.control.checked).map((b) => b.control.value), paused: found?.paused ?? false };
    doing(button, null, async () => {
      try {
        await api.put(at`/projects/${project}/stores/${called}`, body, found ? api.onlyAs(tag) : api.onlyNew);
      } catch (error) {
        if (error.status === 412) return top.tell([found ? { field: null, text: "Somebody has changed this store meanwhile. Load the page again to see how it is now." } : { field: name, text: "there is a store of this name already" }]);
        if (error.status === undefined || error.status === 401) throw error;
        return top.tell([{ field: settings.named(error.message), text: error.message }]);
      }
      note(found ? `${called} is saved` : `${called} is there`);
      return go(path`/p/${project}/stores/${called}`);
    });
  } },
    top, name,
    adapter.settings.length > 0 && h("h2", "Settings"), adapter.settings.length > 0 && settings,
    h("h2", "What it shares"), period,
    h("fieldset", h("legend", "Metric Sets"), boxes.length ? boxes : h("p.soft", "There are none yet. ", h("a", { href: path`/p/${project}/explore` }, "Make a metric in Explore"), " and connect it later.")),
    h("div.actions", button, h("a.button", { href: found ? path`/p/${project}/stores/${found.name}` : path`/p/${project}/stores` }, "Cancel")));
}
