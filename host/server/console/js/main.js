// Starts the console: who is signed in, which pages there are, and what happens between two of them.

import * as api from "./lib/api.js";
import { fill, h } from "./lib/dom.js";
import { go, here, link, rootOf, start } from "./lib/router.js";
import * as session from "./lib/session.js";
import { frame } from "./parts/frame.js";
import { announce, failure, voices } from "./parts/say.js";
import { routes } from "./routes.js";

const app = document.getElementById("app");
const bar = h("div.bar", { "aria-hidden": "true" });
document.body.append(bar, ...voices());
let drawn = 0;
let first = true;

routes();

/** Where one signs in and comes back here; there is one such page, whatever the tenant. */
const signIn = (more = {}) => `${rootOf("")}/signin?${new URLSearchParams({ next: location.pathname + location.search, ...more })}`;

async function draw(found, context) {
  const turn = (drawn += 1);
  const open = found?.open === true;
  if (!open && !session.who()) return go(signIn(), { replace: true });
  bar.classList.add("busy");
  let page;
  try {
    page = found ? await found.page(context) : { title: "Not found", body: h("div.card", h("h1", { tabindex: "-1" }, "There is nothing here"), h("p", "The address is not one of the console."), h("a", { href: link("/") }, "Go to the projects")) };
  } catch (error) {
    if (error.name === "AbortError" || turn !== drawn) return undefined;
    page = { title: "Error", crumbs: [], body: [h("h1", { tabindex: "-1" }, error.status === 404 ? "Not found" : error.status === 403 ? "Not allowed" : "This page cannot be shown"), failure(error, "The server said"), h("div.row", h("button", { onclick: () => go(location.href, { replace: true }) }, "Try again"), h("a.button", { href: link("/") }, "Go to the projects"))] };
  }
  if (turn !== drawn) return undefined;
  bar.classList.remove("busy");
  if (!page) return undefined;
  document.title = `${page.title} · Tidegate`;
  if (page.outside) fill(app, page.body);
  else await frame(app, page, found, context);
  if (!first || page.outside) {
    const target = page.focus ?? app.querySelector("main h1, .outside h1");
    target?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  if (!first) announce(page.title);
  first = false;
  return undefined;
}

api.onSignedOut(() => {
  if (!session.who()) return;
  session.forget();
  go(signIn({ ended: "1" }), { replace: true });
});

try {
  if (here()?.open !== true) await session.resume();
  await start(draw);
} catch (error) {
  fill(app, h("div.outside", h("div.card", h("h1", "The console cannot start"), failure(error, "The server said"), h("button", { onclick: () => location.reload() }, "Try again"))));
}
