// Who may sign in, and what each may do in which project.

import * as api from "../lib/api.js";
import { at } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { ago, fromMicros } from "../lib/format.js";
import { go } from "../lib/router.js";
import { signIn, tenant, who } from "../lib/session.js";
import { empty, head } from "../parts/bits.js";
import { confirm, dialog, menu } from "../parts/dialog.js";
import { checkbox, selectField, textField } from "../parts/fields.js";
import { projectNames } from "../parts/frame.js";
import { listing } from "../parts/listing.js";
import { doing, note } from "../parts/say.js";

const ROLES = [["viewer", "Viewer: sees metric sets and stores"], ["member", "Member: explores, too"], ["admin", "Admin: defines metric export"]];
const told = (r) => `${r.role} of ${r.project ?? `all projects of ${r.tenant}`}${r.project && r.tenant !== tenant() ? ` of ${r.tenant}` : ""}`;

export async function users({ query, signal }) {
  const [{ users: rows }, projects] = await Promise.all([api.all("/users", "users", { signal }), projectNames()]);
  const operator = who()?.operator;
  const again = () => go(location.href, { replace: true });
  const make = () => h("button.main", { type: "button", onclick: async () => { if (await newUser(projects)) again(); } }, "New user");
  const table = listing({
    label: "Users", noun: "user", rows, query, text: (u) => `${u.name} ${u.roles.map(told).join(" ")} ${u.operator ? "operator" : ""}`,
    columns: [
      { label: "User", by: (u) => u.name, cell: (u) => u.name },
      { label: "Roles", by: (u) => u.roles.length, cell: (u) => (u.operator ? "Operator: everything on this host" : u.roles.length ? u.roles.map(told).join(", ") : h("span.none", "none yet")), clip: true },
      { label: "Signs in", by: (u) => String(u.can_sign_in), cell: (u) => (u.can_sign_in ? "with a password" : h("span.dim", "has no password yet")) },
      { label: "Made", by: (u) => u.created, cell: (u) => ago(fromMicros(u.created)) },
      { label: "Actions", hide: true, bare: true, fit: true, cell: (u) => menu("More", [
        { label: "Roles", act: async () => { if (await editRoles(u, projects)) again(); } },
        operator && { label: "New password", act: () => password(u) },
        operator && { label: u.operator ? "No longer operator" : "Make operator", act: async () => { if (await promote(u)) again(); } },
        operator && { label: "Remove", risky: true, act: async () => { if (await confirm(`Remove ${u.name}?`, h("p", "Their sessions end at once. What they did stays in the log."), "Remove", () => api.remove(at`/users/${u.name}`))) { note(`${u.name} is removed`); again(); } } },
      ], { small: true }) },
    ],
    empty: empty("No user", "Users sign in with a password and have roles in projects.", operator && make()),
  });
  return { title: "Users", body: [head("Users", { lead: "Viewers see, members explore, admins define metric export; operators run the host.", actions: operator ? [make()] : [] }), table] };
}

function newUser(projects) {
  return dialog("New user", (close) => {
    const name = textField({ label: "Name", required: true, maxlength: 100, autocomplete: "off" });
    const pass = textField({ label: "Password", type: "password", required: true, autocomplete: "new-password", help: "At least 12 characters. Tell it them; they can change it." });
    const role = selectField({ label: "Role", choices: ROLES, value: "member" });
    const where = selectField({ label: "In", choices: [["", "All projects"], ...projects.map((p) => [p, p])] });
    const place = h("div");
    const button = h("button.main", { type: "submit" }, "Create user");
    return h("form.stack", { onsubmit: async (e) => {
      e.preventDefault();
      const done = await doing(button, place, async () => {
        await api.post("/users", { name: name.control.value.trim(), password: pass.control.value, roles: [{ project: where.control.value || null, role: role.control.value }] });
        return true;
      }, "The user was not made");
      if (done) close(true);
    } }, name, pass, role, where, place, h("div.actions", button, h("button", { type: "button", onclick: () => close() }, "Cancel")));
  }, { narrow: true });
}

async function editRoles({ name }, projects) {
  const { document: user, tag } = await api.tagged(at`/users/${name}`);
  return dialog(`Roles of ${user.name}`, (close) => {
    // Roles in other tenants are changed there.
    const here = user.roles.filter((r) => r.tenant === tenant());
    const of = (project) => here.find((r) => (r.project ?? null) === project)?.role ?? "";
    const rows = [[null, "All projects"], ...projects.map((p) => [p, p])].map(([project, label]) => ({
      project, field: selectField({ label, value: of(project), choices: [["", "–"], ...ROLES] }),
    }));
    const place = h("div");
    const button = h("button.main", { type: "submit" }, "Save");
    return h("form.stack", { onsubmit: async (e) => {
      e.preventDefault();
      const roles = rows.filter((r) => r.field.control.value).map((r) => ({ project: r.project, role: r.field.control.value }));
      if (await doing(button, place, async () => { await api.put(at`/users/${user.name}/roles`, { roles }, api.onlyAs(tag)); return true; }, "The roles were not changed")) close(true);
    } }, h("p.soft", "The highest of the roles that apply counts."), rows.map((r) => r.field), place, h("div.actions", button, h("button", { type: "button", onclick: () => close() }, "Cancel")));
  }, { narrow: true });
}

function password(user) {
  return dialog(`New password for ${user.name}`, (close) => {
    const pass = textField({ label: "Password", type: "password", required: true, autocomplete: "new-password", help: "Their sessions end." });
    const place = h("div");
    const button = h("button.main", { type: "submit" }, "Set password");
    return h("form.stack", { onsubmit: async (e) => {
      e.preventDefault();
      if (await doing(button, place, async () => { await api.put(at`/users/${user.name}/password`, { password: pass.control.value }); return true; }, "The password was not set")) { note("The password is set"); close(true); }
    } }, pass, place, h("div.actions", button, h("button", { type: "button", onclick: () => close() }, "Cancel")));
  }, { narrow: true });
}

async function promote({ name }) {
  const { document: user, tag } = await api.tagged(at`/users/${name}`);
  return confirm(user.operator ? `Take the host from ${user.name}?` : `Make ${user.name} an operator?`,
    h("p", user.operator ? "They keep their roles in projects." : "Operators can do everything on this host, in all tenants."), user.operator ? "Take it" : "Make operator",
    () => api.put(at`/users/${user.name}`, { operator: !user.operator }, api.onlyAs(tag)));
}

/** One's own password. */
export async function account() {
  const old = textField({ label: "Present password", type: "password", required: true, autocomplete: "current-password" });
  const next = textField({ label: "New password", type: "password", required: true, autocomplete: "new-password" });
  const place = h("div");
  const button = h("button.main", { type: "submit" }, "Change password");
  const me = who();
  return { title: "Your account", body: [head("Your account", { lead: me.operator ? `${me.user}, operator of this host` : me.user }),
    h("section.card", h("h2", "Roles"), me.roles?.length ? h("ul", me.roles.map((r) => h("li", told(r)))) : h("p.soft", me.operator ? "As the operator you can do everything." : "None yet; ask an admin.")),
    !me.token && h("section.card", h("h2", "Password"), h("form.stack", { onsubmit: (e) => {
      e.preventDefault();
      doing(button, place, async () => {
        await api.put("/password", { current: old.control.value, password: next.control.value });
        // All sessions have ended with it, this one, too.
        await signIn(me.user, next.control.value);
        note("The password is changed; you are signed out everywhere else");
        fill(place);
        old.control.value = next.control.value = "";
      }, "The password was not changed");
    } }, old, next, place, h("div.actions", button)))] };
}

