// API tokens: for programs. Each is shown once.

import * as api from "../lib/api.js";
import { at } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { ago, fromMicros } from "../lib/format.js";
import { go } from "../lib/router.js";
import { who } from "../lib/session.js";
import { copyable, empty, head } from "../parts/bits.js";
import { confirm, dialog } from "../parts/dialog.js";
import { checkbox, selectField, textField } from "../parts/fields.js";
import { projectNames } from "../parts/frame.js";
import { listing } from "../parts/listing.js";
import { doing, note } from "../parts/say.js";

const TERMS = [["", "Never"], ["86400", "After a day"], ["2592000", "After 30 days"], ["31536000", "After a year"]];

export async function tokens({ query, signal }) {
  const [{ tokens: rows }, projects] = await Promise.all([api.all("/tokens", "tokens", { signal }), projectNames()]);
  const again = () => go(location.href, { replace: true });
  const make = () => h("button.main", { type: "button", onclick: async () => { if (await newToken(projects)) again(); } }, "New token");
  const scope = (t) => (t.operator ? "the whole host" : `${t.role ?? "admin"} of ${t.project ?? "all projects"}`);
  const table = listing({
    label: "API tokens", noun: "token", rows, query, text: (t) => `${t.name} ${t.hint} ${scope(t)}`,
    columns: [
      { label: "Name", by: (t) => t.name, cell: (t) => t.name },
      { label: "Begins with", by: (t) => t.hint, cell: (t) => h("code", `${t.hint}…`) },
      { label: "May", by: scope, cell: scope },
      { label: "Made", by: (t) => t.created, cell: (t) => ago(fromMicros(t.created)) },
      { label: "Ends", by: (t) => t.expires, cell: (t) => (t.expires ? ago(fromMicros(t.expires)) : h("span.dim", "never")) },
      { label: "Actions", hide: true, bare: true, fit: true, cell: (t) => h("button.small.risky", { type: "button", "aria-label": `Revoke ${t.name}`, onclick: async () => {
        if (await confirm(`Revoke ${t.name}?`, h("p", "Programs that still use it are refused at once."), "Revoke", () => api.remove(at`/tokens/${t.name}`))) { note(`${t.name} is revoked`); again(); }
      } }, "Revoke") },
    ],
    empty: empty("No token yet", "Programs, and the command line on other machines, use tokens instead of a password.", make()),
  });
  return { title: "API Tokens", body: [head("API Tokens", { lead: "For programs and for the command line. Each is shown once and kept as a hash.", actions: rows.length ? [make()] : [] }), table] };
}

function newToken(projects) {
  return dialog("New API token", (close) => {
    const name = textField({ label: "Name", required: true, maxlength: 100, help: "What it is for." });
    const where = selectField({ label: "For", choices: [["", "All projects"], ...projects.map((p) => [p, p])] });
    const role = selectField({ label: "Role", value: "admin", choices: [["viewer", "Viewer"], ["member", "Member"], ["admin", "Admin"]] });
    const ends = selectField({ label: "Ends", choices: TERMS });
    const operator = who()?.operator ? checkbox("Runs the host", { help: "Everything that an operator can do, in all projects." }) : null;
    const place = h("div");
    const button = h("button.main", { type: "submit" }, "Create token");
    const form = h("form.stack", { onsubmit: async (e) => {
      e.preventDefault();
      const body = { name: name.control.value.trim() };
      if (operator?.control.checked) body.operator = true;
      else { body.role = role.control.value; if (where.control.value) body.project = where.control.value; }
      if (ends.control.value) body.expires_in = Number(ends.control.value);
      const made = await doing(button, place, () => api.post("/tokens", body), "The token was not made");
      if (!made) return;
      form.replaceWith(h("div.stack", h("p", "Copy it now; it is not shown again."), copyable(made.token, "the token"), h("div.actions", h("button.main", { type: "button", onclick: () => close(true) }, "Done"))));
    } }, name, where, role, ends, operator, place, h("div.actions", button, h("button", { type: "button", onclick: () => close() }, "Cancel")));
    return form;
  }, { narrow: true });
}
