// Dialogs: the browser's own <dialog>, which keeps the focus inside, closes on Escape and gives the focus back.

import { fill, fresh, h } from "../lib/dom.js";
import { icon } from "./icons.js";
import { doing } from "./say.js";

/** Opens a dialog; `body(close)` gives what is in it. Gives what `close` was called with, or undefined. */
export function dialog(title, body, { narrow = false, wide = false } = {}) {
  return new Promise((done) => {
    const id = fresh("title");
    let answer;
    const close = (value) => { answer = value; element.close(); };
    const element = h(narrow ? "dialog.narrow" : wide ? "dialog.wide" : "dialog", { "aria-labelledby": id });
    element.append(h("div.dialog",
      h("header", h("h2", { id }, title), h("button.plain.icon.small", { type: "button", "aria-label": "Close", onclick: () => close() }, icon("close"))),
      body(close)));
    // Back and forward lead to another page, on which it has no business.
    const left = () => close();
    addEventListener("popstate", left);
    element.addEventListener("close", () => { removeEventListener("popstate", left); element.remove(); done(answer); });
    document.body.append(element);
    element.showModal();
    element.querySelector("[autofocus], input:not([type=hidden]), select, textarea")?.focus();
  });
}

/** Asks before something is lost. `work` runs while the dialog is open, so its error is shown there. Gives whether it was done. */
export function confirm(title, text, label, work) {
  return dialog(title, (close) => {
    const place = h("div");
    const button = h("button.risky", { type: "button", onclick: async () => {
      const done = await doing(button, place, async () => { await work(); return true; });
      if (done) close(true);
    } }, label);
    return [h("div.stack", ...[text].flat()), place, h("div.actions", button, h("button", { type: "button", autofocus: true, onclick: () => close() }, "Cancel"))];
  }, { narrow: true });
}

/** Asks for one line of text; `more` is shown below it. */
export function prompt(title, label, initial, button, work, help, more) {
  return dialog(title, (close) => {
    const id = fresh("line");
    const input = h("input", { id, value: initial, required: true, maxlength: 100, autocomplete: "off", spellcheck: "false" });
    const place = h("div");
    const submit = h("button.main", { type: "submit" }, button);
    return h("form.stack", { onsubmit: async (event) => {
      event.preventDefault();
      const done = await doing(submit, place, async () => { await work(input.value.trim()); return true; });
      if (done) close(input.value.trim());
    } },
      h("div.field", h("label", { for: id }, label), help && h("div.help", help), input), more, place,
      h("div.actions", submit, h("button", { type: "button", onclick: () => close() }, "Cancel")));
  }, { narrow: true });
}

/** A button that opens a list of actions. Entries: {label, act} or {label, href} or {said}. */
export function menu(label, entries, { picture, small = false } = {}) {
  const list = h("div.list", { hidden: true });
  const button = h(`button${small ? ".small" : ""}`, { type: "button", "aria-haspopup": "true", "aria-expanded": "false" }, picture && icon(picture), label);
  const show = (open) => {
    list.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    if (!open) return;
    // Fixed, so that no table that scrolls cuts it off.
    const at = button.getBoundingClientRect();
    const size = list.getBoundingClientRect();
    list.style.left = `${Math.max(8, Math.min(at.right - size.width, innerWidth - size.width - 8))}px`;
    list.style.top = `${at.bottom + 4 + size.height > innerHeight && at.top > size.height ? at.top - size.height - 4 : at.bottom + 4}px`;
    list.querySelector("button, a")?.focus({ preventScroll: true });
  };
  fill(list, entries.filter(Boolean).map((entry) => {
    if (entry.said) return h("div.said", entry.said);
    const tag = entry.href ? "a.button" : entry.risky ? "button.risky" : "button";
    return h(tag, { type: entry.href ? null : "button", href: entry.href, onclick: () => { show(false); button.focus(); entry.act?.(); } }, entry.label);
  }));
  const whole = h("div.menu", button, list);
  button.addEventListener("click", () => show(list.hidden));
  whole.addEventListener("keydown", (event) => {
    const items = [...list.querySelectorAll("button, a")];
    const at = items.indexOf(document.activeElement);
    if (event.key === "Escape" && !list.hidden) { show(false); button.focus(); event.stopPropagation(); }
    else if (event.key === "ArrowDown") { event.preventDefault(); if (list.hidden) show(true); else items[(at + 1) % items.length]?.focus(); }
    else if (event.key === "ArrowUp" && !list.hidden) { event.preventDefault(); items[(at - 1 + items.length) % items.length]?.focus(); }
  });
  addEventListener("scroll", () => { if (!list.hidden) show(false); }, { passive: true });
  whole.addEventListener("focusout", (event) => { if (!whole.contains(event.relatedTarget)) show(false); });
  return whole;
}
