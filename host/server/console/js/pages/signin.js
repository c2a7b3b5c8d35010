// The way in: sign in, and the first start, when the link that the server printed sets the operator's password.

import * as api from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { go, link } from "../lib/router.js";
import * as session from "../lib/session.js";
import { textField } from "../parts/fields.js";
import { forgetProjects, themeSwitch } from "../parts/frame.js";
import { doing, message } from "../parts/say.js";

const brand = () => h("div.brand", h("img", { src: new URL("../../img/mark.svg", import.meta.url).pathname, alt: "", width: 28, height: 28 }), "Tidegate");

const outside = (...children) => h("main.outside", h("div.card", h("div.row.spread", brand(), themeSwitch()), ...children));

const target = (query) => (/^\/console\/(?!signin|setup)/.test(query.next ?? "") ? query.next : link("/"));

export async function signin({ query }) {
  if (session.who() || (await session.resume())) { go(target(query), { replace: true }); return null; }
  const place = h("div");
  const form = h("div");
  const enter = async (work) => {
    await work();
    forgetProjects();
    await go(target(query), { replace: true });
  };
  const byPassword = () => {
    const user = textField({ label: "User", required: true, autocomplete: "username" });
    const password = textField({ label: "Password", type: "password", required: true, autocomplete: "current-password" });
    const button = h("button.main", { type: "submit" }, "Sign in");
    fill(form, h("form.stack", { onsubmit: (e) => {
      e.preventDefault();
      doing(button, place, () => enter(() => session.signIn(user.control.value, password.control.value)), "You are not signed in");
    } }, user, password, h("div.actions", button, h("button.plain", { type: "button", onclick: byToken }, "Use an API token"))));
    user.control.focus();
  };
  const byToken = () => {
    const token = textField({ label: "API token", type: "password", required: true, autocomplete: "off", help: "It begins with tg_. It stays in the memory of this page and is gone when you load it again." });
    const button = h("button.main", { type: "submit" }, "Sign in");
    fill(place);
    fill(form, h("form.stack", { onsubmit: (e) => {
      e.preventDefault();
      doing(button, place, () => enter(() => session.signInWithToken(token.control.value.trim())), "You are not signed in");
    } }, token, h("div.actions", button, h("button.plain", { type: "button", onclick: byPassword }, "Use a password"))));
    token.control.focus();
  };
  byPassword();
  return { title: "Sign in", outside: true, focus: form.querySelector("input"), body: outside(
    h("h1", { tabindex: "-1" }, "Sign in"),
    query.ended && message("hint", "Your session has ended. Sign in again to go on."),
    place, form,
    h("p.small.soft", "No password yet? The first start of the server prints a link to set it, once.")) };
}

export async function setup() {
  const token = decodeURIComponent(location.hash.slice(1));
  // The token is a credential: it must not stay in the history.
  if (token) history.replaceState(null, "", location.pathname);
  const place = h("div");
  if (!token) {
    return { title: "Set up", outside: true, body: outside(h("h1", { tabindex: "-1" }, "Set up Tidegate"),
      message("warn", "This page needs the whole link that the server printed at its first start, with the part behind #."),
      h("a", { href: link("/signin") }, "Go to the sign-in page")) };
  }
  const user = textField({ label: "User", required: true, value: "admin", autocomplete: "username" });
  const password = textField({ label: "Password", type: "password", required: true, autocomplete: "new-password", help: "At least 12 characters; a sentence is easy to remember." });
  const again = textField({ label: "The password again", type: "password", required: true, autocomplete: "new-password" });
  const button = h("button.main", { type: "submit" }, "Set password and sign in");
  const form = h("form.stack", { onsubmit: (e) => {
    e.preventDefault();
    again.wrong(password.control.value === again.control.value ? "" : "The two are not the same");
    if (password.control.value !== again.control.value) return again.control.focus();
    return doing(button, place, async () => {
      await api.post("/setup", { token, user: user.control.value, password: password.control.value });
      await session.signIn(user.control.value, password.control.value);
      forgetProjects();
      await go(link("/"), { replace: true });
    }, "The password is not set");
  } }, user, password, again, h("div.actions", button));
  return { title: "Set up", outside: true, focus: password.control, body: outside(h("h1", { tabindex: "-1" }, "Set up Tidegate"),
    h("p.soft", "You are the operator of this host: you can do everything, and make accounts for others."), place, form) };
}
