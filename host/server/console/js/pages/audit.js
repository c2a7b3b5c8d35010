// The log of every change: who, when, what was there before and after.

import * as api from "../lib/api.js";
import { h } from "../lib/dom.js";
import { fromMicros, time } from "../lib/format.js";
import { empty, head } from "../parts/bits.js";
import { dialog } from "../parts/dialog.js";
import { listing, plain } from "../parts/listing.js";
import { doing } from "../parts/say.js";

const PAGE = 200;

export async function audit({ query, signal }) {
  let got = await api.get(`/audit?limit=${PAGE}`, { signal });
  let rows = got.audit;
  const more = h("button", { type: "button", onclick: () => doing(more, null, async () => {
    got = await api.get(`/audit?limit=${PAGE}&cursor=${got.next}`, { signal });
    rows = rows.concat(got.audit);
    table.refresh(rows);
    more.hidden = !got.next;
  }) }, "Load older changes");
  more.hidden = !got.next;
  const table = listing({
    label: "Changes", noun: "change", rows, query, text: (l) => `${l.actor} ${l.action} ${l.object} ${l.tenant ?? ""} ${l.address ?? ""}`,
    columns: [
      { label: "When", by: (l) => l.at, cell: (l) => time(fromMicros(l.at)) },
      { label: "Who", by: (l) => l.actor, cell: (l) => l.actor },
      { label: "Did", by: (l) => l.action, cell: (l) => l.action },
      { label: "To", by: (l) => l.object, cell: (l) => l.object, clip: true },
      { label: "From", by: (l) => l.address, cell: (l) => l.address ?? h("span.dim", "the host itself") },
      { label: "Details", hide: true, bare: true, fit: true, cell: (l) => h("button.small", { type: "button", "aria-label": `What changed in ${l.object}`, onclick: () => details(l) }, "What changed") },
    ],
    empty: empty("No change yet", "Whatever somebody changes is written down here, with what was there before."),
  });
  return { title: "Audit Log", body: [head("Audit Log", { lead: "Every change of this host: who, when, before, after." }), table, h("div", more)] };
}

const text = (v) => (v === null || v === undefined ? "–" : typeof v === "string" ? v : JSON.stringify(v));

function details(line) {
  return dialog(`${line.actor}: ${line.action} ${line.object}`, (close) => {
    const keys = [...new Set([...Object.keys(line.before ?? {}), ...Object.keys(line.after ?? {})])];
    const changed = keys.filter((k) => text(line.before?.[k]) !== text(line.after?.[k]));
    const extra = [line.details].flat().filter(Boolean);
    return [h("p.soft", time(fromMicros(line.at))), changed.length ? plain("Before and after", ["Member", "Before", "After"], changed.map((k) => [k, h("code.break", text(line.before?.[k])), h("code.break", text(line.after?.[k]))])) : h("p", "No member differs."),
      extra.length > 0 && h("ul", extra.map((d) => h("li", text(d)))), h("div.actions", h("button", { type: "button", onclick: () => close() }, "Close"))];
  });
}
