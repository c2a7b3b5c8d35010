// Which version of its adapter a store uses; another one, compared over the windows on record before it goes live; and back again.

import * as api from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { fromMicros, fromSeconds, time } from "../lib/format.js";
import { go } from "../lib/router.js";
import { card, facts } from "../parts/bits.js";
import { confirm, dialog } from "../parts/dialog.js";
import { checkbox } from "../parts/fields.js";
import { limitName, used } from "../parts/limits.js";
import { listing, plain } from "../parts/listing.js";
import { doing, message, note } from "../parts/say.js";
import { signed } from "./adapters.js";

const OUTCOMES = { same: "the same bytes", different: "other bytes", "now-fails": "fails with it", "still-fails": "fails with both", "now-works": "works only with it" };
const short = (digest) => digest.replace("sha256:", "").slice(0, 12);

export async function versions(root, found, query, signal, admin) {
  const known = await api.get(`${root}/adapter`, { signal });
  const again = () => go(location.href, { replace: true });
  const back = known.previous && h("button", { type: "button", onclick: async () => {
    if (await confirm("Go back to the version before?", h("p", `The store uses ${known.previous.version ?? short(known.previous.digest)} again from its next window on.`), "Go back", () => api.post(`${root}/adapter/rollback`))) { note("The store uses the version before again"); again(); }
  } }, `Go back to ${known.previous.version ?? short(known.previous.digest)}`);
  const table = listing({
    label: "Versions", noun: "version", rows: known.versions, query, text: (v) => `${v.version} ${v.vendor} ${v.digest}`,
    columns: [
      { label: "Version", by: (v) => v.version, cell: (v) => h("div", v.version, " ", v.used && h("span.tag", "in use"), v.default && !v.used && h("span.tag", "for new stores")) },
      { label: "Vendor", by: (v) => v.vendor, cell: (v) => v.vendor || h("span.none", "not told") },
      { label: "Signature", by: (v) => v.signature?.state, cell: signed },
      { label: "Where from", by: (v) => v.file ?? "", cell: (v) => (v.file ? h("code", v.file) : "built in") },
      { label: "Digest", cell: (v) => h("code", { title: v.digest }, `${short(v.digest)}…`) },
      { label: "Asks for more", cell: (v) => (v.used ? "" : v.asks_more?.length ? v.asks_more.join("; ") : "nothing"), clip: true },
      admin && { label: "Compare", hide: true, bare: true, fit: true, cell: (v) => (v.used ? "" : h("button.small", { type: "button", "aria-label": `Compare with ${v.version}`, onclick: () => compare(root, v, again) }, "Compare")) },
    ].filter(Boolean),
  });
  return h("div.stack.wide",
    card("In use", facts([["Version", known.version ?? "not told"], ["Digest", known.digest ? h("code", short(known.digest)) : "not fixed"], known.trial_until && ["On trial until", time(fromMicros(known.trial_until))], known.previous && ["Before", known.previous.version ?? short(known.previous.digest)]]),
      known.problem && message("bad", h("p", known.problem)), known.update && message("hint", h("p", `Version ${known.update.version} is there. Compare first: you see what the windows on record would be with it.`)), admin && back && h("div.actions", back)),
    card("What it uses", found.status.limits?.length
      ? plain("Limits", ["Limit", "Used of it"], found.status.limits.map((l) => [limitName(l), used(l)]), { fold: true })
      : h("p.soft", "It was not called since the start of the server.")),
    table);
}

/** What the windows on record would be with another version; and the change to it. */
function compare(root, version, again) {
  return dialog(`${version.name} ${version.version}`, (close) => {
    const place = h("div.stack", { "aria-live": "polite" }, h("p.soft", "Comparing over the windows on record …"));
    const actions = h("div.actions", h("button", { type: "button", onclick: () => close() }, "Cancel"));
    api.post(`${root}/adapter/diff`, { to: version.digest }).then((told) => {
      const consents = told.asks.map((ask) => checkbox(ask, { value: ask }));
      const trouble = h("div");
      const use = h("button.main", { type: "button", onclick: async () => {
        const consent = consents.filter((c) => c.control.checked).map((c) => c.control.value);
        if (await doing(use, trouble, () => api.post(`${root}/adapter/upgrade`, { to: version.digest, consent }), "The store stays as it is")) { close(); note(`The store uses ${version.version} from its next window on`); again(); }
      } }, `Use ${version.version}`);
      fill(place,
        told.objection && message("bad", h("p", `It cannot be used: ${told.objection}`)),
        told.windows.length === 0 ? h("p", "There is no window on record to compare with.") : h("ul", told.windows.map((w) => h("li", `${w.metric_set}, window to `, time(moment(w.window_end)), `: ${OUTCOMES[w.outcome] ?? w.outcome}`, w.reason && ` (${w.reason})`, w.lines?.length > 0 && h("details", h("summary", "What differs"), h("div.bytes", { tabindex: "0", role: "region", "aria-label": "What differs" }, w.lines.map((l) => (typeof l === "string" ? l : JSON.stringify(l))).join("\n")))))),
        consents.length > 0 && h("fieldset", h("legend", "It asks for more; agree to each"), consents), trouble);
      if (!told.objection) actions.prepend(use);
    }).catch((error) => fill(place, message("bad", h("p", error.message))));
    return [place, actions];
  });
}

/** Seconds or microseconds since 1970. */
const moment = (n) => (n > 1e14 ? fromMicros(n) : fromSeconds(n));
