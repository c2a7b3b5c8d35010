// The tenants of the host, and what each uses of what it may. For operators.

import * as api from "../lib/api.js";
import { at } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { bytes, duration, number } from "../lib/format.js";
import { go, link, path, rootOf } from "../lib/router.js";
import { who } from "../lib/session.js";
import { card, copyable, empty, head } from "../parts/bits.js";
import { creation } from "../parts/creation.js";
import { confirm, dialog } from "../parts/dialog.js";
import { field } from "../parts/fields.js";
import { forgetProjects } from "../parts/frame.js";
import { listing } from "../parts/listing.js";
import { doing, note } from "../parts/say.js";

const millis = (n) => duration(n / 1000);
const everyMinute = (n) => `${millis(n)} a minute`;
const MB = 1e6;
/** Each quota: what it is called, how its figures are told, the unit in which it is set, and how many of the server's that is. */
const GROUPS = [
  ["What it has", null, {
    projects: ["Projects", number],
    metric_stores: ["Metric stores", number],
    adapters: ["Versions of adapters in use", number],
    events_per_second: ["Events that come in, in the mean", (n) => `${number(n)} a second`, "a second"],
    stored_megabytes: ["Events, as stored", (n) => bytes(n * MB), "MB"],
  }],
  ["Processor time", null, {
    evaluation_cpu: ["Evaluating metrics", everyMinute, "ms a minute"],
    query_cpu: ["Queries", everyMinute, "ms a minute"],
    adapter_cpu: ["One store's adapter", everyMinute, "ms a minute"],
    tenant_cpu: ["All its adapters", everyMinute, "ms a minute"],
  }],
  ["What an adapter may use", "The server has limits for all; those of a tenant can only be lower.", {
    adapter_time: ["Time of one call", millis, "ms"],
    adapter_memory: ["Memory of one call", bytes, "MB", MB],
    adapter_handles: ["Handles of one call", number],
    adapter_log_lines: ["Lines to the log of one call", number],
    adapter_output: ["Output of one delivery or page", bytes, "MB", MB],
    adapter_actions: ["Requests of one delivery", number],
    adapter_size: ["Size of an adapter's file", bytes, "MB", MB],
    tenant_instances: ["Deliveries and pages under way", number, "at once"],
  }],
];

export async function tenants({ query, signal }) {
  const { tenants: rows } = await api.all("/tenants", "tenants", { signal });
  const table = listing({
    label: "Tenants", noun: "tenant", rows, query, text: (t) => t.name,
    columns: [
      { label: "Tenant", by: (t) => t.name, cell: (t) => h("a", { href: path`/tenants/${t.name}` }, t.name) },
      { label: "Its things", bare: true, cell: (t) => { const root = rootOf(t.name === who().tenant ? "" : t.name); return h("div.row", h("a", { href: `${root}/` }, "Projects"), h("a", { href: `${root}/stores` }, "Metric Stores"), h("a", { href: `${root}/users` }, "Users"), h("a", { href: `${root}/tokens` }, "API Tokens")); } },
    ],
    empty: empty("No tenant", "There is always one; the log of the server says what is wrong."),
  });
  return { title: "Tenants", body: [head("Tenants", { lead: "Tenants do not see each other: each has its own projects, users' roles, tokens and limits.", actions: [h("a.button.main", { href: link("/tenants/new") }, "New tenant")] }), table] };
}

export async function newTenant() {
  const { box, focus } = creation({ help: "A company, a team; names of projects are free in each tenant.", label: "Create tenant", cancel: link("/tenants"), failed: "The tenant was not made", make: async (name) => {
    const made = await api.post("/tenants", { name });
    forgetProjects();
    return [h("h2", { tabindex: "-1" }, `${made.name} is there`), h("p", "Its first API token, an admin's, is shown this once."),
      h("div.field", h("span.label", "API token"), copyable(made.token, "the token")),
      h("div.actions", h("a.button.main", { href: `${rootOf(made.name)}/projects/new` }, "Make its first project"), h("a.button", { href: path`/tenants/${made.name}` }, "Say what it may have"))];
  } });
  return { title: "New tenant", crumbs: [["Tenants", link("/tenants")]], body: [head("New tenant"), box], focus };
}

export async function tenant({ params: { tenant: name }, query, signal }) {
  const { document: quotas, tag } = await api.tagged(at`/tenants/${name}/quotas`, { signal });
  const rows = GROUPS.flatMap(([group, , members]) => Object.entries(members).filter(([key]) => quotas[key]).map(([key, [label, told, unit = "", factor = 1]]) => ({ key, group, label, told, unit, factor, ...quotas[key] })));
  const share = (r) => (r.limit ? (r.used ?? 0) / r.limit : null);
  const table = listing({
    label: "What it may have", noun: "limit", rows, query, text: (r) => `${r.group} ${r.label}`,
    columns: [
      { label: "What", by: (r) => r.label, cell: (r) => r.label },
      { label: "Of", by: (r) => r.group, cell: (r) => h("span.soft", r.group) },
      { label: "Used", number: true, by: share, cell: (r) => (r.used !== undefined ? r.told(r.used) : r.key === "events_per_second" ? h("span.dim", "–") : h("span.dim", "of each call or store")) },
      { label: "Limit", number: true, by: (r) => r.limit, cell: (r) => (r.limit === null ? h("span.none", "none") : r.told(r.limit)) },
      { label: "Set by", by: (r) => String(r.set === null), cell: (r) => (r.set !== null ? "an operator, for this tenant" : h("span.dim", r.limit === null ? "nobody" : "the server, for all")) },
    ],
  });
  const home = name === who().tenant ? "" : name;
  const removal = async () => {
    if (await confirm(`Remove ${name}?`, h("p", "Its tokens are refused at once. A tenant that has projects stays."), "Remove", () => api.remove(at`/tenants/${name}`))) { forgetProjects(); note(`${name} is removed`); go(link("/tenants")); }
  };
  return { title: name, crumbs: [["Tenants", link("/tenants")]], body: [
    head(name, { lead: "What this tenant uses of what it may.", actions: [h("a.button", { href: `${rootOf(home)}/` }, "Open"), h("button", { type: "button", onclick: async () => { if (await limits(name, rows, tag)) go(location.href, { replace: true }); } }, "Change limits")] }), table,
    card("Remove the tenant", h("p", "Only one without projects can be removed."), h("div.actions", h("button.risky", { type: "button", onclick: removal }, "Remove tenant"))),
  ] };
}

/** A bound in its unit; what is left empty is not set. */
function bound(r) {
  const shown = (n) => Number((n / r.factor).toPrecision(9));
  const label = r.unit ? [r.label, h("span.hidden", `, ${r.unit}`)] : r.label;
  const f = field({ label, control: (more) => h("div.suffixed", h("input", { type: "number", min: 0, max: shown(4294967295), step: r.factor === 1 ? 1 : "any", inputmode: "decimal", value: r.set === null ? "" : shown(r.set), placeholder: r.limit === null ? "no limit" : String(Number((r.limit / r.factor).toPrecision(3))), ...more }), r.unit && h("span.soft", { "aria-hidden": "true" }, r.unit)) });
  f.wanted = () => (f.control.value === "" ? [] : [[r.key, Math.round(Number(f.control.value) * r.factor)]]);
  return f;
}

function limits(name, rows, tag) {
  return dialog(`Limits of ${name}`, (close) => {
    const fields = new Map(rows.map((r) => [r.key, bound(r)]));
    const place = h("div");
    const button = h("button.main", { type: "submit" }, "Save");
    return h("form.stack", { onsubmit: async (e) => {
      e.preventDefault();
      const wanted = Object.fromEntries([...fields.values()].flatMap((f) => f.wanted()));
      if (await doing(button, place, async () => { await api.put(at`/tenants/${name}/quotas`, wanted, api.onlyAs(tag)); return true; }, "The limits were not changed")) { note("The limits hold from now on"); close(true); }
    } }, h("p.soft", "What is left empty is as the server has it for all; that stands there in grey."),
      GROUPS.map(([group, said, members]) => h("fieldset.group", h("legend", group), said && h("p.small.soft", said), h("div.columns", Object.keys(members).map((key) => fields.get(key))))), place,
      h("div.actions", button, h("button", { type: "button", onclick: () => close() }, "Cancel")));
  }, { wide: true });
}
