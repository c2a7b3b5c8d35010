// The projects, and the settings of one.

import * as api from "../lib/api.js";
import { at } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { ago, bytes, fromMicros, number } from "../lib/format.js";
import { go, link, path } from "../lib/router.js";
import { administers, may } from "../lib/session.js";
import { card, copyable, empty, facts, head } from "../parts/bits.js";
import { creation } from "../parts/creation.js";
import { confirm, dialog } from "../parts/dialog.js";
import { textField } from "../parts/fields.js";
import { forgetProjects } from "../parts/frame.js";
import { listing } from "../parts/listing.js";
import { doing, note } from "../parts/say.js";

export async function projects({ query, signal }) {
  const rows = (await api.all("/projects", "projects", { signal })).projects;
  const table = listing({
    label: "Projects", noun: "project", rows, query, text: (p) => p.name,
    columns: [
      { label: "Project", cell: (p) => h("a", { href: may("member", p.name) ? path`/p/${p.name}/explore` : path`/p/${p.name}/stores` }, p.name), by: (p) => p.name },
      { label: "Events", number: true, cell: (p) => number(p.events?.stored), by: (p) => p.events?.stored },
      { label: "On disk", number: true, cell: (p) => bytes(p.events?.bytes), by: (p) => p.events?.bytes },
      { label: "Oldest event", cell: (p) => ago(fromMicros(p.events?.oldest_arrival)), by: (p) => p.events?.oldest_arrival },
      { label: "Kept", cell: (p) => kept(p.retention), by: (p) => p.retention?.days },
      { label: "Go to", bare: true, cell: (p) => h("div.row", h("a", { href: path`/p/${p.name}/metric-sets` }, "Metric Sets"), h("a", { href: path`/p/${p.name}/stores` }, "Metric Stores"), h("a", { href: path`/p/${p.name}` }, "Settings")) },
    ],
    empty: empty("No project yet", "A project is where the errors and crashes of one product arrive. Make one, and you get a token and a URL to send events to.", administers() && h("a.button.main", { href: link("/projects/new") }, "New project")),
  });
  return { title: "Projects", body: [head("Projects", { actions: rows.length && administers() ? [h("a.button.main", { href: link("/projects/new") }, "New project")] : [] }), table] };
}

function kept(retention) {
  const parts = [retention?.days && `${number(retention.days)} days`, retention?.megabytes && `${bytes(retention.megabytes * 1e6)}`].filter(Boolean);
  return parts.length ? parts.join(", ") : "for good";
}

export async function newProject() {
  const { box, focus } = creation({ help: "As people know the product; letters, digits and . _ - ", label: "Create project", cancel: link("/"), failed: "The project was not created", make: async (name) => {
    const made = await api.post("/projects", { name });
    forgetProjects();
    return created(made);
  } });
  return { title: "New project", crumbs: [["Projects", link("/")]], body: [head("New project"), box], focus };
}

function created(made) {
  return [
    h("h2", { tabindex: "-1" }, `${made.name} is there`),
    h("p", "Its submission token is shown this once. Clients of Backtrace take the URL; your own code may send one JSON object per line."),
    sendHelp(made.name, made.submission_token),
    h("div.actions", h("a.button.main", { href: path`/p/${made.name}/explore` }, "Explore its events"), h("a.button", { href: path`/p/${made.name}` }, "Project Settings")),
  ];
}

function sendHelp(project, token) {
  const here = location.origin;
  return h("div.stack",
    h("div.field", h("span.label", "Submission token"), copyable(token, "the submission token")),
    h("div.field", h("span.label", "URL for Backtrace's clients"), copyable(`${here}/post?format=json&token=${token}`, "the URL")),
    h("div.field", h("span.label", "An event with curl"), copyable(`curl -X POST -H 'Authorization: Bearer ${token}' \\\n  --data '{"error.type": "Crash", "error.message": "hello", "app.version": "1.0"}' \\\n  ${here}${`/api/v1${at`/projects/${project}/events`}`}`, "the command", { block: true })));
}

export async function project({ params: { project: name }, query, signal }) {
  const [found, tokens] = await Promise.all([
    api.get(at`/projects/${name}`, { signal }),
    may("admin", name) ? api.all(at`/projects/${name}/submission-tokens`, "submission_tokens", { signal }).catch(() => null) : null,
  ]);
  const admin = may("admin", name);
  const again = () => go(location.href, { replace: true });
  const body = [
    head("Project Settings", { lead: name }),
    card("Events", facts([
      ["Stored", `${number(found.events.stored)} events`],
      ["On disk", bytes(found.events.bytes)],
      ["Oldest", ago(fromMicros(found.events.oldest_arrival))],
      ["Kept", kept(found.retention)],
      found.owed_since && ["Owed to stores since", ago(fromMicros(found.owed_since))],
    ]), admin && h("div.actions", h("button", { type: "button", onclick: async () => { if (await keep(name)) again(); } }, "Change how long they are kept"))),
    h("div.cards.two",
      h("a.card", { href: path`/p/${name}/metric-sets` }, h("h2", "Metric Sets"), h("p.soft", found.metric_sets.length ? `${number(found.metric_sets.length)}: ${some(found.metric_sets)}` : "None yet. Metrics are made from queries in Explore.")),
      h("a.card", { href: path`/p/${name}/stores` }, h("h2", "Metric Stores"), h("p.soft", found.metric_stores.length ? `${number(found.metric_stores.length)}: ${some(found.metric_stores)}` : "None yet. A store shares metric sets with a monitoring system."))),
    tokens && submission(name, tokens.submission_tokens ?? tokens.tokens ?? [], query, again),
    admin && card("Delete the project", h("p", "Its events, metric sets and metric stores go with it. This cannot be undone."),
      h("div.actions", h("button.risky", { type: "button", onclick: () => removeProject(name, found) }, "Delete project"))),
  ];
  return { title: "Project Settings", crumbs: [[name, path`/p/${name}/explore`]], body };
}

const some = (names) => names.slice(0, 5).join(", ") + (names.length > 5 ? ", …" : "");

function submission(name, rows, query, again) {
  const make = h("button", { type: "button", onclick: async () => {
    const place = h("div");
    const made = await doing(make, null, () => api.post(at`/projects/${name}/submission-tokens`, {}), "No token was made");
    if (!made) return;
    await dialog("New submission token", (close) => [place, h("p", "It is shown this once."), sendHelp(name, made.token), h("div.actions", h("button.main", { type: "button", onclick: () => close() }, "Done"))]);
    again();
  } }, "New token");
  const table = listing({
    label: "Submission tokens", noun: "token", rows, query, keys: ["tokens", "tsort", "tpage"], text: (t) => `${t.hint ?? ""} ${t.id}`,
    columns: [
      { label: "Token", cell: (t) => h("code", `${t.hint ?? t.id}…`), by: (t) => t.hint ?? t.id },
      { label: "Made", cell: (t) => ago(fromMicros(t.created)), by: (t) => t.created },
      { label: "Revoke", hide: true, bare: true, fit: true, cell: (t) => h("button.small.risky", { type: "button", onclick: async () => {
        if (await confirm("Revoke the token?", [h("p", "Clients that still use it are refused at once.")], "Revoke", () => api.remove(at`/projects/${name}/submission-tokens/${t.id}`))) again();
      } }, "Revoke") },
    ],
    empty: empty("No token", "Nobody can send events without one. Make a token and give it to your clients."),
  });
  return h("section.stack", h("div.row.spread", h("h2", "Submission tokens"), make), table);
}

async function keep(name) {
  const { document: retention, tag } = await api.tagged(at`/projects/${name}/retention`);
  return dialog("How long events are kept", (close) => {
    const days = textField({ label: "Days", type: "number", min: 1, optional: true, value: retention.days ?? "", help: "Older events go. Leave it empty for no bound." });
    const megabytes = textField({ label: "Megabytes", type: "number", min: 1, optional: true, value: retention.megabytes ?? "", help: "The oldest events go until the rest fits." });
    const place = h("div");
    const button = h("button.main", { type: "submit" }, "Save");
    const amount = (f) => (f.control.value === "" ? null : Number(f.control.value));
    return h("form.stack", { onsubmit: async (e) => {
      e.preventDefault();
      if (await doing(button, place, async () => { await api.put(at`/projects/${name}/retention`, { days: amount(days), megabytes: amount(megabytes) }, api.onlyAs(tag)); return true; })) close(true);
    } }, days, megabytes, place, h("div.actions", button, h("button", { type: "button", onclick: () => close() }, "Cancel")));
  }, { narrow: true });
}

async function removeProject(name, found) {
  const typed = textField({ label: `Type ${name} to confirm`, required: true });
  const done = await confirm("Delete the project?", [h("p", `${number(found.events.stored)} events, ${number(found.metric_sets.length)} metric sets and ${number(found.metric_stores.length)} metric stores are lost.`), typed], "Delete for good", () => {
    if (typed.control.value !== name) throw new Error("What you typed is not the name of the project");
    return api.remove(at`/projects/${name}`);
  });
  if (!done) return;
  forgetProjects();
  note(`${name} is deleted`);
  go(link("/"));
}
