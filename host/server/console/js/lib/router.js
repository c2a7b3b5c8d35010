// Addresses and pages. The state of a page is in its address, so back, forward and shared links work; whatever a page started is
// ended by its signal when the next one comes.

import * as api from "./api.js";

const ROOT = "/console";
const routes = [];
let current = null;
let render = null;

/** route("/p/:project/stores", page): page({params, query, signal}) gives {title, body} or a promise of it. */
export function route(pattern, page, extra = {}) {
  const names = [];
  const source = pattern.replace(/:(\w+)/g, (_, name) => { names.push(name); return "([^/]+)"; });
  routes.push({ expression: new RegExp(`^${source}/?$`), names, page, pattern, ...extra });
}

/** Where the pages of a tenant are; those of one's own have no name in front, so most people never see one. */
export const rootOf = (tenant) => ROOT + (tenant ? `/t/${encodeURIComponent(tenant)}` : "");
const root = () => rootOf(api.tenant());

export const link = (path, query) => {
  const text = query ? new URLSearchParams(Object.entries(query).filter(([, v]) => v !== null && v !== undefined && v !== "")).toString() : "";
  return root() + path + (text ? `?${text}` : "");
};

/** A path of the console with its parts percent-encoded. */
export function path(strings, ...parts) {
  return root() + strings.reduce((made, text, i) => made + encodeURIComponent(parts[i - 1]) + text);
}

export function go(href, { replace = false } = {}) {
  if (replace) history.replaceState(null, "", href);
  else history.pushState(null, "", href);
  return show();
}

/** Changes the query of the address without loading the page anew. */
export function note(query, { replace = true } = {}) {
  const text = new URLSearchParams(Object.entries(query).filter(([, v]) => v !== null && v !== undefined && v !== "")).toString();
  const href = location.pathname + (text ? `?${text}` : "");
  if (href === location.pathname + location.search) return;
  if (replace) history.replaceState(null, "", href);
  else history.pushState(null, "", href);
}

export function here() {
  const whole = location.pathname.startsWith(ROOT) ? location.pathname.slice(ROOT.length) || "/" : "/";
  const [, tenant, below] = /^\/t\/([^/]+)(\/.*)?$/.exec(whole) ?? [];
  api.meant(tenant ? decoded(tenant) : "");
  const given = tenant ? below || "/" : whole;
  for (const entry of routes) {
    const match = entry.expression.exec(given);
    if (!match) continue;
    const params = Object.fromEntries(entry.names.map((name, i) => [name, decoded(match[i + 1])]));
    return { ...entry, params, path: given };
  }
  return null;
}

function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

export async function show() {
  current?.abort();
  const mine = new AbortController();
  current = mine;
  const found = here();
  const query = Object.fromEntries(new URLSearchParams(location.search));
  await render(found, { params: found?.params ?? {}, query, signal: mine.signal });
}

export function start(draw) {
  render = draw;
  addEventListener("popstate", show);
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const anchor = event.target.closest?.("a[href]");
    if (!anchor || anchor.target || anchor.hasAttribute("download") || anchor.origin !== location.origin) return;
    if (!anchor.pathname.startsWith(`${ROOT}/`) || anchor.getAttribute("href").startsWith("#")) return;
    event.preventDefault();
    go(anchor.href);
  });
  return show();
}

/** Calls now and then while the page is shown and looked at. */
export function every(signal, seconds, call) {
  const timer = setInterval(() => { if (!document.hidden) call(); }, seconds * 1000);
  signal.addEventListener("abort", () => clearInterval(timer));
}
