// The tenants of the host, and what each uses of what it may. For operators.

import * as api from "../lib/api.js";
import { at } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { bytes, duration, number } from "../lib/format.js";
import { go, link, path, rootOf } from "../lib/router.js";
import { who } from "../lib/session.js";
import { card, copyable, empty, head } from "../parts/bits.js";
import { confirm, dialog } from "../parts/dialog.js";
import { textField } from "../parts/fields.js";
import { forgetProjects } from "../parts/frame.js";
import { listing } from "../parts/listing.js";
import { doing, note } from "../parts/say.js";

const millis = (n) => duration(n / 1000);
/** Each quota: what it is called, how its figures are told, and the unit in which it is set. */
const QUOTAS = {
  projects: ["Projects", number, ""],
  metric_stores: ["Metric stores", number, ""],
  events_per_second: ["Events that come in", (n) => `${number(n)} a second`, "a second, in the mean"],
  stored_megabytes: ["Events, as stored", (n) => bytes(n * 1e6), "MB"],
  adapters: ["Versions of adapters in use", number, ""],
  evaluation_cpu: ["CPU time of evaluating metrics", (n) => `${millis(n)} a minute`, "ms a minute"],
  query_cpu: ["CPU time of its queries", (n) => `${millis(n)} a minute`, "ms a minute"],
  adapter_time: ["Time of one call into an adapter", millis, "ms"],
  adapter_memory: ["Memory of one call", bytes, "bytes"],
  adapter_output: ["Output of one delivery or page", bytes, "bytes"],
  adapter_actions: ["Requests of one delivery", number, ""],
  adapter_handles: ["Handles of one call", number, ""],
  adapter_log_lines: ["Lines to the log of one call", number, ""],
  adapter_size: ["Size of an adapter's file", bytes, "bytes"],
  adapter_cpu: ["CPU time of one store's adapter", (n) => `${millis(n)} a minute`, "ms a minute"],
  tenant_cpu: ["CPU time of all its adapters", (n) => `${millis(n)} a minute`, "ms a minute"],
  tenant_instances: ["Deliveries and pages under way", number, "at once"],
};

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
  const name = textField({ label: "Name", required: true, maxlength: 100, help: "A company, a team; names of projects are free in each tenant." });
  const place = h("div");
  const button = h("button.main", { type: "submit" }, "Create tenant");
  const box = h("section.card", h("form.stack", { onsubmit: (e) => {
    e.preventDefault();
    doing(button, place, async () => {
      const made = await api.post("/tenants", { name: name.control.value.trim() });
      forgetProjects();
      fill(box, h("h2", { tabindex: "-1" }, `${made.name} is there`), h("p", "Its first API token, an admin's, is shown this once."),
        h("div.field", h("span.label", "API token"), copyable(made.token, "the token")),
        h("div.actions", h("a.button.main", { href: `${rootOf(made.name)}/projects/new` }, "Make its first project"), h("a.button", { href: path`/tenants/${made.name}` }, "Say what it may have")));
      box.querySelector("h2").focus();
    }, "The tenant was not made");
  } }, name, place, h("div.actions", button, h("a.button", { href: link("/tenants") }, "Cancel"))));
  return { title: "New tenant", crumbs: [["Tenants", link("/tenants")]], body: [head("New tenant"), box], focus: name.control };
}

export async function tenant({ params: { tenant: name }, query, signal }) {
  const { document: quotas, tag } = await api.tagged(at`/tenants/${name}/quotas`, { signal });
  const rows = Object.entries(QUOTAS).filter(([key]) => quotas[key]).map(([key, [label, told]]) => ({ key, label, told, ...quotas[key] }));
  const share = (r) => (r.limit ? (r.used ?? 0) / r.limit : null);
  const table = listing({
    label: "What it may have", noun: "limit", rows, query, text: (r) => r.label,
    columns: [
      { label: "What", by: (r) => r.label, cell: (r) => r.label },
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

function limits(name, rows, tag) {
  return dialog(`Limits of ${name}`, (close) => {
    const fields = rows.map((r) => [r.key, textField({ label: r.label, type: "number", min: 0, max: 4294967295, optional: true, value: r.set ?? "", placeholder: r.set === null && r.limit !== null ? String(r.limit) : "", help: [QUOTAS[r.key][2], r.key.startsWith("adapter_") || r.key.startsWith("tenant_") ? "no more than the server allows" : ""].filter(Boolean).join("; ") || undefined })]);
    const place = h("div");
    const button = h("button.main", { type: "submit" }, "Save");
    return h("form.stack", { onsubmit: async (e) => {
      e.preventDefault();
      const wanted = Object.fromEntries(fields.filter(([, f]) => f.control.value !== "").map(([key, f]) => [key, Number(f.control.value)]));
      if (await doing(button, place, async () => { await api.put(at`/tenants/${name}/quotas`, wanted, api.onlyAs(tag)); return true; }, "The limits were not changed")) { note("The limits hold from now on"); close(true); }
    } }, h("p.soft", "What is left empty is not bounded, or is as the server has it for all."), h("div.cards.two", fields.map(([, f]) => f)), place,
      h("div.actions", button, h("button", { type: "button", onclick: () => close() }, "Cancel")));
  });
}
