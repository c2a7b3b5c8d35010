// The windows of a store, newest first, with what became of each; and a past window again.

import * as api from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { ago, count, fromMicros, fromSeconds, number, time } from "../lib/format.js";
import { empty } from "../parts/bits.js";
import { dialog } from "../parts/dialog.js";
import { listing, plain } from "../parts/listing.js";
import { doing, message } from "../parts/say.js";
import { outcome } from "./states.js";
import { wire } from "./store-look.js";

const PAGE = 200;

export async function history(root, found, query, signal, admin) {
  const pulls = found.status.direction === "pull";
  let got = await api.get(`${root}/windows?limit=${PAGE}`, { signal });
  let rows = got.windows;
  const more = h("button", { type: "button", onclick: () => doing(more, null, async () => {
    got = await api.get(`${root}/windows?limit=${PAGE}&cursor=${got.next}`, { signal });
    rows = rows.concat(got.windows);
    table.refresh(rows);
    more.hidden = !got.next;
  }) }, "Load older windows");
  more.hidden = !got.next;
  const became = (w) => w.delivery?.state ?? w.state;
  const table = listing({
    label: "Windows", noun: "window", rows, query, keys: ["find", "sort", "page"],
    text: (w) => `${w.metric_set ?? ""} ${became(w)} ${w.reason ?? ""} ${w.delivery?.problem ?? ""} ${new Date(w.start * 1000).toISOString()}`,
    columns: [
      { label: "Window", by: (w) => w.start, cell: (w) => h("span", time(fromSeconds(w.start)), " – ", time(fromSeconds(w.end), "clock")) },
      { label: "Metric Set", by: (w) => w.metric_set, cell: (w) => w.metric_set ?? h("span.none", "deleted") },
      { label: "Outcome", by: became, cell: (w) => h("div", outcome(became(w)), why(w) && h("div.small.soft", why(w))), clip: true },
      { label: "Rows", number: true, by: (w) => w.rows, cell: (w) => (w.delivery && (w.delivery.accepted_rows || w.delivery.rejected_rows)
        ? `${number(w.delivery.accepted_rows)} of ${number(w.delivery.accepted_rows + w.delivery.rejected_rows)} accepted` : number(w.rows)) },
      !pulls && { label: "Tries", number: true, by: (w) => w.delivery?.attempts, cell: (w) => number(w.delivery?.attempts) },
      { label: "Recorded", by: (w) => w.delivery?.updated ?? w.recorded, cell: (w) => ago(fromMicros(w.delivery?.updated ?? w.recorded)) },
      { label: "Details", hide: true, bare: true, fit: true, cell: (w) => h("button.small", { type: "button", "aria-label": `Details of the window from ${new Date(w.start * 1000).toLocaleString()}`, onclick: () => details(root, w, pulls, admin) }, "Details") },
    ].filter(Boolean),
    empty: empty("No window yet", found.metric_sets.length ? "The first one is recorded when it ends." : "No metric set is connected to this store."),
  });
  return h("div.stack", h("p.soft", "Every window ends as arrived, rejected or expired, with a reason: there is no silent gap."), table, h("div", more));
}

const why = (w) => w.delivery?.problem ?? w.reason;

function details(root, w, pulls, admin) {
  return dialog(`${w.metric_set ?? "Deleted metric set"}, window of ${new Date(w.end * 1000).toLocaleString()}`, (close) => {
    const place = h("div", { "aria-live": "polite" });
    const rejections = Array.isArray(w.delivery?.rejections) ? w.delivery.rejections : [];
    const show = (send) => async (e) => doing(e.target, place, async () => {
      const replay = await api.post(`${root}/replay`, { metric_set: w.metric_set, at: w.start, send });
      const same = { same: "These are the bytes that were sent before.", "not-comparable": "Adapter or settings have changed since, so the bytes may differ from those that were sent.", "never-sent": "Nothing was sent of this window before." };
      fill(place, h("div.stack", replay.sent && message("good", h("p", `Sent again: ${count(replay.sent.accepted_rows, "row")} accepted, ${number(replay.sent.rejected_rows)} rejected.`)), h("p.soft", same[replay.bytes]), wire(replay)));
    }, "The window was not replayed");
    return [
      h("div.row", outcome(w.delivery?.state ?? w.state), why(w) && h("span.soft", why(w))),
      w.delivery && h("p.soft", `${count(w.delivery.attempts, "try", "tries")}; ${count(w.delivery.accepted_rows, "row")} accepted, ${number(w.delivery.rejected_rows)} rejected.`),
      rejections.length > 0 && plain("Rejected rows", ["Metric", "Series", { label: "Rows", number: true }, "Reason"], rejections.map((r) => [r.metric ?? "", r.series ?? r.row ?? "", number(r.rows ?? r.count ?? 1), r.reason ?? ""])),
      !pulls && !w.kept && message("hint", h("p", "Its values are not kept any more, so it cannot be replayed.")),
      place,
      h("div.actions", !pulls && w.kept && w.metric_set && [h("button", { type: "button", onclick: show(false) }, "Show its bytes"), admin && h("button.risky", { type: "button", onclick: show(true) }, "Send it again")], h("button", { type: "button", onclick: () => close() }, "Close"))];
  });
}
