// The log of every change: who, when, what was there before and after.

import * as api from "../lib/api.js";
import { fresh, h, later } from "../lib/dom.js";
import { fromMicros, time } from "../lib/format.js";
import { note as remember } from "../lib/router.js";
import { tenant } from "../lib/session.js";
import { empty, head } from "../parts/bits.js";
import { dialog } from "../parts/dialog.js";
import { listing, plain } from "../parts/listing.js";

const KINDS = { "metric-store": "metric stores", "metric-set": "metric sets", metric: "metrics", project: "projects", "submission-token": "submission tokens", user: "users", token: "API tokens", adapter: "adapters", tenant: "tenants", host: "the host" };
const SPANS = { 3600: "the last hour", 86400: "the last 24 hours", 604800: "the last 7 days", 2592000: "the last 30 days" };

/** What the address asks for beside the words: {name, control}; a change of it is remembered there. */
function narrowing(query, changed) {
  const set = (name) => (e) => {
    remember({ ...Object.fromEntries(new URLSearchParams(location.search)), [name]: e.target.value });
    changed();
  };
  const choice = (name, label, any, entries) => {
    const id = fresh(name);
    return { name, control: h("span", h("label.hidden", { for: id }, label), h("select", { id, onchange: set(name) }, h("option", { value: "" }, any), Object.entries(entries).map(([value, text]) => h("option", { value, selected: value === query[name] }, text)))) };
  };
  const line = (name, label) => ({ name, control: h("input.short", { type: "search", "aria-label": label, placeholder: label, value: query[name] ?? "", autocomplete: "off", oninput: later(250, set(name)) }) });
  return [choice("kind", "About", "About anything", KINDS), line("object", "Name, as web/page"), line("actor", "By whom"), choice("within", "When", "At any time", SPANS)];
}

export async function audit({ query, signal }) {
  const tools = narrowing(query, () => table.anew());
  const wanted = () => Object.fromEntries(tools.map(({ name, control }) => [name, (control.matches("input") ? control : control.querySelector("select")).value.trim()]));
  const table = listing({
    label: "Changes", noun: "change", query, signal, tools: tools.map((tool) => tool.control), filtered: () => Object.values(wanted()).some(Boolean),
    fetch: async ({ find, sort, cursor, limit }) => {
      const { within, ...others } = wanted();
      const asked = new URLSearchParams({ limit, ...Object.fromEntries(Object.entries(others).filter(([, value]) => value)) });
      if (find.trim()) asked.set("search", find);
      if (within) asked.set("since", Math.floor(Date.now() / 1000) - Number(within));
      if (sort) asked.set("sort", sort);
      if (cursor) asked.set("cursor", cursor);
      const got = await api.get(`/audit?${asked}`, { signal });
      return { rows: got.audit, next: got.next };
    },
    columns: [
      { label: "When", by: "at", cell: (l) => time(fromMicros(l.at)) },
      { label: "Who", cell: (l) => l.actor },
      { label: "Did", cell: (l) => l.action },
      { label: "To", cell: (l) => h("div", l.object, l.tenant && l.tenant !== tenant() && h("div.small.soft", `of the tenant ${l.tenant}`)), clip: true },
      { label: "From", cell: (l) => l.address ?? h("span.dim", "the host itself") },
      { label: "Details", hide: true, bare: true, fit: true, cell: (l) => h("button.small", { type: "button", "aria-label": `What changed in ${l.object}`, onclick: () => details(l) }, "What changed") },
    ],
    empty: empty("No change yet", "Whatever somebody changes is written down here, with what was there before."),
  });
  await table.ready;
  return { title: "Audit Log", body: [head("Audit Log", { lead: "Every change of this host: who, when, before, after. The newest first; kept for 400 days." }), table] };
}

const text = (v) => (v === null || v === undefined ? "–" : typeof v === "string" ? v : JSON.stringify(v));

/** Members of members by their path, so that what is different stands alone. */
function flat(picture, path = "") {
  return Object.assign({}, ...Object.entries(picture ?? {}).map(([name, value]) => (value !== null && typeof value === "object" && !Array.isArray(value) ? flat(value, `${path}${name}.`) : { [path + name]: value })));
}

function details(line) {
  return dialog(`${line.actor}: ${line.action} ${line.object}`, (close) => {
    const [before, after] = [flat(line.before), flat(line.after)];
    const changed = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((k) => text(before[k]) !== text(after[k]));
    // What the table shows is not said twice.
    const extra = [line.details].flat().filter((d) => d && !changed.some((k) => String(d).startsWith(`${k}: `)));
    return [h("p.soft", time(fromMicros(line.at))), changed.length ? plain("Before and after", ["Member", "Before", "After"], changed.map((k) => [k, h("code.break", text(before[k])), h("code.break", text(after[k]))]), { fold: true }) : extra.length === 0 && h("p", "No member differs."),
      extra.length > 0 && h("ul", extra.map((d) => h("li", text(d)))), h("div.actions", h("button", { type: "button", onclick: () => close() }, "Close"))];
  });
}
