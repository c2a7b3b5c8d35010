// A page that makes one thing by its name: a form, and in its place what is told once it is there.

import { fill, h } from "../lib/dom.js";
import { textField } from "./fields.js";
import { doing } from "./say.js";

/** `make(name)` gives what to show; a heading of the second level in it gets the focus. */
export function creation({ help, label, cancel, make, failed }) {
  const name = textField({ label: "Name", required: true, maxlength: 100, help });
  const place = h("div");
  const button = h("button.main", { type: "submit" }, label);
  const box = h("section.card", h("form.stack", { onsubmit: (e) => {
    e.preventDefault();
    doing(button, place, async () => {
      fill(box, await make(name.control.value.trim()));
      box.querySelector("h2").focus();
    }, failed);
  } }, name, place, h("div.actions", button, h("a.button", { href: cancel }, "Cancel"))));
  return { box, focus: name.control };
}
