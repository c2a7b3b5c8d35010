// Looking at a store from the outside: how its page is read, the bytes that the next window sends, and what its sink says to a try.

import * as api from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { bytes, fromSeconds, time } from "../lib/format.js";
import { card, copyable, facts } from "../parts/bits.js";
import { doing, message } from "../parts/say.js";

/** What the server puts in the place of a secret. */
const HIDDEN = "…";

/** What to enter in the product that reads the store's page. */
export function reading(found, admin) {
  const box = h("div.stack");
  const draw = (pull, open) => fill(box,
    h("div.field", h("span.label", "URL"), h("div.help", "It is a credential: whoever has it can read the page."), copyable(pull.url, "the URL")),
    pull.user && h("div.field", h("span.label", "User name"), copyable(pull.user, "the user name")),
    pull.password && h("div.field", h("span.label", "Password"), open ? copyable(pull.password, "the password")
      : h("div.row", h("code", "••••••••"), admin && h("button.small", { type: "button", onclick: async (e) => {
        const shown = await doing(e.target, null, () => api.get(`${api.at`/projects/${found.project}/stores/${found.name}`}?reveal=true`));
        if (shown) draw(shown.pull, true);
      } }, "Show"), h("span.small.dim", "Who looks at it is noted in the log."))),
    pull.guide.map((entry) => h("div.field", h("span.label", entry.label), entry.text === HIDDEN ? h("div.row", h("code", "••••••••"), h("span.small.dim", "The password, as above."))
      : copyable(entry.text, entry.label, { block: entry.text.includes("\n") || entry.text.length > 60 }),
    entry.text !== HIDDEN && entry.text.includes(HIDDEN) && h("div.small.dim", "Show the password first: until then it stands here as ", h("code", HIDDEN), "."))));
  draw(found.pull, false);
  return card("How it is read", box);
}

/** Where a push store sends: the endpoints of its adapter, with the store's settings in them. */
export function target(found, adapter) {
  const setting = (key) => adapter.settings.find((s) => s.key === key);
  const plainly = (key) => found.settings[key] ?? setting(key)?.default;
  const asked = (key) => { const { when } = setting(key) ?? {}; return !when || when.is.includes(String(plainly(when.setting))); };
  const keysOf = (e) => (e.kind === "tcp" ? [e.host, e.port] : [...e.url.matchAll(/\{([^}]+)\}/g)].map((m) => m[1]));
  const usable = adapter.endpoints.filter((e) => keysOf(e).every((key) => asked(key) && plainly(key) !== undefined && plainly(key) !== null));
  // Where a choice such as "another place" asks for an address, no endpoint is made of the choice itself.
  const settled = new Set(usable.flatMap(keysOf).map((key) => setting(key)?.when?.setting).filter(Boolean));
  const shown = (key) => (plainly(key) === HIDDEN ? h("span.dim", `${setting(key)?.label ?? key}, set and not shown`) : plainly(key));
  const parts = (e) => (e.kind === "tcp" ? [shown(e.host), ":", shown(e.port)] : e.url.split(/(\{[^}]+\})/).filter(Boolean).map((part) => (part.startsWith("{") ? shown(part.slice(1, -1)) : part)));
  const places = usable.filter((e) => !keysOf(e).some((key) => settled.has(key)));
  return card("Where it sends", places.length ? places.map((e) => h("p", h("code.break", parts(e)))) : h("p.soft", "The settings do not say; edit the store."));
}

/** A message as it goes out. */
export function wire(part) {
  if (part.nothing) return message("hint", h("p", `Nothing goes out: ${part.nothing}.`));
  const body = part.body?.text ?? (part.body?.base64 ? `base64: ${part.body.base64}` : "");
  const size = part.body?.text !== undefined ? new TextEncoder().encode(body).length : Math.floor((part.body?.base64?.length ?? 0) * 0.75);
  const headers = [part.request_line, ...(part.headers ?? []).map(([name, value]) => `${name}: ${value}`)].join("\n");
  return h("div.stack",
    h("div.bytes", { tabindex: "0", role: "region", "aria-label": "Request line and headers" }, headers),
    h("div.row.spread", h("span.small.soft", `Body: ${bytes(size)}${part.gzip ? ", compressed on the wire" : ""}`)),
    h("div.bytes", { tabindex: "0", role: "region", "aria-label": "Body" }, body || "(empty)"));
}

export async function preview(root, found, signal) {
  const shown = await api.get(`${root}/preview`, { signal });
  const intro = h("p.soft", found.pull || found.status.direction === "pull"
    ? "The page as a scraper gets it now."
    : "The exact bytes that each metric set sends, with credentials shown as <name>. Nothing is sent by looking.");
  const parts = shown.parts.map((part) => h("section.card",
    h("header", h("h2", part.metric_set ?? "Page"), h("span.small.soft", "Window ", time(fromSeconds(part.window.start)), " to ", time(fromSeconds(part.window.end), "clock"), part.in_progress ? ", still in progress" : "")),
    wire(part)));
  return h("div.stack.wide", intro, parts.length ? parts : message("hint", h("p", "No metric set is connected, so there is nothing to show.")));
}

const CHECKED = {
  holds: ["good", "The other side takes the settings."],
  fails: ["bad", "The other side does not take the settings."],
  unclear: ["warn", "The other side gave no clear answer."],
  "not-offered": ["hint", "This product has no way to ask without sending. Send a test point instead."],
};

export function checkOrTest(root, found) {
  const asked = h("div", { "aria-live": "polite" });
  const sent = h("div", { "aria-live": "polite" });
  const check = h("button", { type: "button", onclick: () => doing(check, asked, async () => {
    const { outcome, reason } = await api.post(`${root}/check`);
    const [kind, text] = CHECKED[outcome] ?? ["hint", outcome];
    fill(asked, message(kind, h("p", text), reason && h("p", reason)));
  }, "The check was not made") }, "Ask");
  const send = h("button.main", { type: "button", onclick: () => doing(send, sent, async () => {
    const answer = await api.post(`${root}/test`);
    fill(sent, h("div.stack",
      message(answer.accepted ? "good" : "bad", h("h2", answer.accepted ? "The point was accepted" : "The point was not accepted"), answer.status && h("p", `HTTP status ${answer.status}`), answer.reason && h("p", answer.reason)),
      facts([["Metric", "tidegate_test"], ["Time", time(fromSeconds(answer.window.end))]]),
      h("details", h("summary", "What was sent"), wire(answer))));
  }, "The point was not sent") }, "Send a test point");
  return h("div.cards.two",
    card("Ask whether the settings hold", h("p", "Nothing is written on the other side. Not every product can be asked."), h("div.actions", check), asked),
    card("Send a test point", h("p", `One point of the metric tidegate_test with the value 1 and the store's name, ${found.name}. It is not part of any metric and not in the ledger.`), h("div.actions", send), sent));
}
