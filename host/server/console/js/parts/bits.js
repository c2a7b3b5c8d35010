// Small things that many pages have: a page's head, facts, copy buttons, tabs, empty states.

import { h } from "../lib/dom.js";
import { icon } from "./icons.js";
import { announce, note } from "./say.js";

export function head(title, { lead, actions = [] } = {}) {
  return h("div.head", h("div.grow", h("h1", { tabindex: "-1" }, title), lead && h("p.lead", lead)), actions.length > 0 && h("div.row", ...actions));
}

export function card(title, ...children) {
  return h("section.card", title && h("header", h("h2", title)), ...children);
}

/** facts([["Period", "60 s"], …]) */
export function facts(pairs) {
  return h("dl.facts", pairs.filter(Boolean).map(([name, ...value]) => h("div", h("dt", name), h("dd", ...value))));
}

export function empty(title, text, ...actions) {
  return h("div.empty", h("h2", title), ...[text].flat().map((t) => (t instanceof Node ? t : h("p", t))), actions.length > 0 && h("div.row", ...actions));
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    note("Copied");
  } catch {
    announce("The browser does not allow copying here; select the text instead");
    return false;
  }
  return true;
}

/** Text with a button that copies it. */
export function copyable(text, label, { block = false } = {}) {
  const shown = h(block ? "pre" : "code", { tabindex: block ? "0" : null, role: block ? "region" : null, "aria-label": block ? label : null }, text);
  return h("div.copied", shown, h("button.small", { type: "button", "aria-label": `Copy ${label}`, onclick: async () => {
    if (await copy(text)) return;
    getSelection().selectAllChildren(shown);
  } }, icon("copy"), "Copy"));
}

/** tabs("store", [["Overview", href], …], here) */
export function tabs(label, entries, current) {
  return h("nav.tabs", { "aria-label": label }, entries.map(([text, href, key]) => h("a", { href, "aria-current": key === current ? "page" : null }, text)));
}

/** A group of buttons of which one is pressed. */
export function choices(label, entries, current, pick) {
  const buttons = entries.map(([value, text]) => h("button", { type: "button", "aria-pressed": String(value === current), onclick: () => {
    for (const b of buttons) b.setAttribute("aria-pressed", String(b === buttons[entries.findIndex((e) => e[0] === value)]));
    pick(value);
  } }, text));
  return h("div.choices", { role: "group", "aria-label": label }, buttons);
}

/** A link to a page of the web, or plain text if it is none that is encrypted. */
export function outward(url, text) {
  if (!/^https:\/\//.test(url ?? "")) return h("span", text ?? url ?? "");
  return h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, text ?? url);
}

/** Hands a text to the browser as a file. */
export function download(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const anchor = h("a", { href: url, download: name });
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
