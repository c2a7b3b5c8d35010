// Fields of forms: a label, help, the control and what is wrong with it, tied together for everyone.

import { fill, fresh, h } from "../lib/dom.js";

/**
 * field({label, help, optional, control(id, describedby)}) gives an element with `.control` and `.wrong(text)`.
 */
export function field({ label, help, optional = false, control }) {
  const id = fresh("field");
  const helpId = `${id}-help`;
  const wrongId = `${id}-wrong`;
  const made = control({ id, "aria-describedby": `${help ? `${helpId} ` : ""}${wrongId}` });
  const wrong = h("div.wrong", { id: wrongId });
  const whole = h("div.field", h("label", { for: id }, label, optional && h("span.optional", " (optional)")), help && h("div.help", { id: helpId }, help), made, wrong);
  whole.control = made.matches("input, select, textarea") ? made : made.querySelector("input, select, textarea");
  whole.name = label;
  whole.wrong = (text) => {
    wrong.textContent = text ?? "";
    if (text) whole.control.setAttribute("aria-invalid", "true");
    else whole.control.removeAttribute("aria-invalid");
  };
  return whole;
}

export const textField = (options) => field({ ...options, control: (more) => h("input", {
  type: options.type ?? "text", value: options.value ?? "", required: options.required, placeholder: options.placeholder, autocomplete: options.autocomplete ?? "off", spellcheck: "false", maxlength: options.maxlength,
  min: options.min, max: options.max, step: options.type === "number" ? 1 : null, inputmode: options.inputmode, autofocus: options.autofocus, list: options.list, ...more,
}) });

export const areaField = (options) => field({ ...options, control: (more) => h("textarea", { class: options.code ? "code" : "", rows: options.rows ?? 6, required: options.required, spellcheck: "false", value: options.value ?? "", placeholder: options.placeholder, ...more }) });

export const selectField = (options) => field({ ...options, control: (more) => h("select", { required: options.required, ...more },
  options.choices.map(([value, text]) => h("option", { value, selected: value === options.value }, text))) });

export function checkbox(label, { checked = false, value = "", help, onchange, name } = {}) {
  const id = fresh("check");
  const input = h("input", { type: "checkbox", id, checked, value, name, onchange, "aria-describedby": help ? `${id}-help` : null });
  const whole = h("div.check", input, h("label", { for: id }, label, help && h("div.small.soft", { id: `${id}-help` }, help)));
  whole.control = input;
  return whole;
}

/** What is wrong with a form, above it: a list of links to the fields. */
export function summary() {
  const box = h("div", { role: "alert", tabindex: "-1" });
  box.tell = (faults) => {
    if (faults.length === 0) return fill(box);
    fill(box, h("div.message.bad", h("h2", faults.length === 1 ? "One entry needs a look" : `${faults.length} entries need a look`),
      h("ul", faults.map(({ field: f, text }) => h("li", f ? h("a", { href: `#${f.control.id}`, onclick: (e) => { e.preventDefault(); f.control.focus(); } }, `${f.name}: ${text}`) : text)))));
    for (const { field: f, text } of faults) f?.wrong(text);
    return box.focus();
  };
  return box;
}
