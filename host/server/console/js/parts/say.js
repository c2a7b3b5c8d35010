// Tells people what happened: politely to screen readers, as a toast to eyes, as a message where it belongs.

import { fill, h } from "../lib/dom.js";

const polite = h("div.hidden", { "aria-live": "polite", role: "status" });
const toasts = h("div.toasts", { "aria-hidden": "true" });

export const voices = () => [polite, toasts];

/** For screen readers only. */
export function announce(text) {
  polite.textContent = "";
  setTimeout(() => { polite.textContent = text; }, 30);
}

/** A short note that goes away by itself. */
export function note(text) {
  announce(text);
  const one = h("div.toast", text);
  toasts.append(one);
  setTimeout(() => one.remove(), 6000);
}

/** A box with what went wrong, and what can be done. */
export function failure(error, title = "That did not work") {
  if (error?.name === "AbortError") return null;
  if (!(error instanceof Error) || error.status === undefined) console.error(error);
  const told = error.status === 403 ? "You are not allowed to do this; an admin can change your role." : null;
  return h("div.message.bad", { role: "alert" }, h("h2", title), h("p", error.message), told && h("p", told));
}

export const message = (kind, ...children) => h(`div.message.${kind}`, ...children);

/** Does something at a button's request: the button waits, an error is shown in `place`. */
export async function doing(button, place, work, title) {
  // A second click while the first is under way would do it twice.
  if (button.getAttribute("aria-disabled") === "true") return undefined;
  button.setAttribute("aria-disabled", "true");
  button.setAttribute("aria-busy", "true");
  if (place) fill(place);
  try {
    return await work();
  } catch (error) {
    const told = failure(error, title);
    if (told && place) fill(place, told);
    else if (told) note(error.message);
    return undefined;
  } finally {
    button.removeAttribute("aria-disabled");
    button.removeAttribute("aria-busy");
  }
}
