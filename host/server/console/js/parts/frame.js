// The frame around a page: side bar with the project, top bar with where one is and who one is.

import * as api from "../lib/api.js";
import { fill, fresh, h } from "../lib/dom.js";
import { go, link, path, rootOf } from "../lib/router.js";
import { administers } from "../lib/session.js";
import * as session from "../lib/session.js";
import { menu } from "./dialog.js";
import { icon } from "./icons.js";
import { note } from "./say.js";

let known = null;
let tenants = null;
let version = "";

/** The projects of the tenant, asked for once and again when something changed. */
export async function projectNames() {
  if (known?.tenant !== session.tenant()) {
    known = { tenant: session.tenant(), names: (await api.all("/projects", "projects")).projects.map((p) => p.name) };
  }
  return known.names;
}
/** The tenants that one can look at. */
async function tenantNames() {
  if (!session.who()?.operator) return session.tenants();
  tenants ??= (await api.all("/tenants", "tenants")).tenants.map((t) => t.name);
  return tenants;
}
export const forgetProjects = () => { known = null; tenants = null; };

const remembered = () => { try { return localStorage.getItem("tidegate.project"); } catch { return null; } };

export async function frame(app, page, found, { params }) {
  let names = [];
  let all = [];
  try {
    [names, all] = await Promise.all([projectNames(), tenantNames()]);
    version ||= (await api.get("/status")).version;
  } catch { /* the page itself says what is wrong */ }
  const project = params.project ?? (names.includes(remembered()) ? remembered() : names[0]);
  if (params.project) { try { localStorage.setItem("tidegate.project", project); } catch { /* storage may be forbidden */ } }
  const side = sideBar(project, names, all, found?.section ?? "");
  const main = h("main", { id: "main", tabindex: "-1" }, page.body);
  fill(app, h("a.skip", { href: "#main", onclick: (e) => { e.preventDefault(); main.focus(); } }, "Skip to content"),
    h("div.frame", side, h("div.over", topBar(page, side), main)));
}

/** Which tenant is looked at, for those who can look at several. */
function tenantSwitch(all) {
  if (all.length < 2) return null;
  const id = fresh("tenant");
  const own = session.who()?.tenant;
  return [h("div.section", h("label", { for: id }, "Tenant")),
    h("div.project", h("select", { id, onchange: (e) => go(`${rootOf(e.target.value === own ? "" : e.target.value)}/`) }, all.map((name) => h("option", { value: name, selected: name === session.tenant() }, name))))];
}

function sideBar(project, names, all, section) {
  const entry = (name, label, href, under) => h("li", h(under ? "a.under" : "a", { href, "aria-current": name === section ? "page" : null }, label));
  const id = fresh("project");
  const own = names.length > 0 ? [
    h("div.section", h("label", { for: id }, "Project")),
    h("div.project", h("select", { id, onchange: (e) => go(e.target.value === "+" ? link("/projects/new") : path`/p/${e.target.value}/${section && ["explore", "sets", "stores"].includes(section) ? { explore: "explore", sets: "metric-sets", stores: "stores" }[section] : ""}`) },
      names.map((name) => h("option", { value: name, selected: name === project }, name)), administers() && h("option", { value: "+" }, "New project …"))),
    h("nav", { "aria-label": "Project" }, h("ul",
      session.may("member", project) && entry("explore", "Explore", path`/p/${project}/explore`),
      entry("project", "Project Settings", path`/p/${project}`),
      h("li", h("div.section", { id: "export" }, "Metric Export")),
      entry("sets", "Metric Sets", path`/p/${project}/metric-sets`, true),
      entry("stores", "Metric Stores", path`/p/${project}/stores`, true))),
  ] : [];
  return h("aside.side", { "aria-label": "Side bar", id: "side" },
    h("a.brand", { href: link("/") }, h("img", { src: new URL("../../img/mark.svg", import.meta.url).pathname, alt: "", width: 28, height: 28 }), "Tidegate"),
    tenantSwitch(all),
    ...own,
    h("nav", { "aria-label": "Host" }, h("div.section", "This host"), h("ul",
      entry("projects", "Projects", link("/")),
      entry("all-stores", "All Metric Stores", link("/stores")),
      entry("ledger", "Ledger", link("/ledger")),
      entry("adapters", "Adapters", link("/adapters")),
      administers() && [entry("users", "Users", link("/users")), entry("tokens", "API Tokens", link("/tokens")), entry("audit", "Audit Log", link("/audit"))],
      session.who()?.operator && entry("tenants", "Tenants", link("/tenants")))),
    h("div.foot", version && `Tidegate ${version}`));
}

function topBar(page, side) {
  let veil = null;
  const burger = h("button.plain.icon.burger", { type: "button", "aria-label": "Menu", "aria-expanded": "false", "aria-controls": "side", onclick: () => open(!side.classList.contains("open")) }, icon("menu"));
  const open = (yes) => {
    side.classList.toggle("open", yes);
    burger.setAttribute("aria-expanded", String(yes));
    if (yes) {
      veil = h("button.veil", { type: "button", "aria-label": "Close the menu", onclick: () => open(false) });
      side.after(veil);
      side.querySelector("a")?.focus();
    } else { veil?.remove(); burger.focus(); }
  };
  side.addEventListener("keydown", (e) => { if (e.key === "Escape" && side.classList.contains("open")) open(false); });
  const crumbs = page.crumbs ?? [];
  const me = session.who();
  return h("header.top", burger,
    h("nav.crumbs", { "aria-label": "You are here" }, h("ol", crumbs.map(([text, href]) => h("li", href ? h("a", { href }, text) : text)), h("li", { "aria-current": "page" }, page.crumb ?? page.title))),
    themeSwitch(),
    me && menu(h("span.who", me.user), [
      { said: `Signed in as ${me.user}${me.operator ? " (operator)" : ""}` },
      { label: "Your account", href: link("/account") },
      { label: "Sign out", act: () => leave(false) },
      !me.token && { label: "Sign out everywhere", act: () => leave(true) },
    ], { picture: "user" }));
}

async function leave(everywhere) {
  try {
    await session.signOut(everywhere);
  } catch (error) {
    return note(error.message);
  }
  forgetProjects();
  return go(`${rootOf("")}/signin`);
}

const THEMES = [["auto", "As the system", "auto"], ["light", "Light", "sun"], ["dark", "Dark", "moon"]];

export function themeSwitch() {
  const now = () => document.documentElement.dataset.theme ?? "auto";
  const button = h("button.plain.icon", { type: "button" });
  const draw = () => {
    const [, label, picture] = THEMES.find(([name]) => name === now());
    button.setAttribute("aria-label", `Colours: ${label}. Change`);
    button.title = `Colours: ${label}`;
    fill(button, icon(picture));
  };
  button.addEventListener("click", () => {
    const [next] = THEMES[(THEMES.findIndex(([name]) => name === now()) + 1) % THEMES.length];
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try { if (next === "auto") localStorage.removeItem("tidegate.theme"); else localStorage.setItem("tidegate.theme", next); } catch { /* storage may be forbidden */ }
    draw();
  });
  draw();
  return button;
}
