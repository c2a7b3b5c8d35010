// The windows of a store, newest first, with what became of each; and a past window again.

import * as api from "../lib/api.js";
import { fill, fresh, h } from "../lib/dom.js";
import { ago, count, fromMicros, fromSeconds, number, time } from "../lib/format.js";
import { note as remember } from "../lib/router.js";
import { empty } from "../parts/bits.js";
import { dialog } from "../parts/dialog.js";
import { listing, plain } from "../parts/listing.js";
import { doing, message } from "../parts/say.js";
import { outcome } from "./states.js";
import { wire } from "./store-look.js";

const BECAME = { push: [["confirmed", "arrived"], ["queued", "waiting"], ["rejected", "rejected"], ["expired", "expired"], ["failed", "failed, tried again"]], pull: [["evaluated", "evaluated"], ["failed", "failed, tried again"], ["expired", "expired"]] };

export async function history(root, found, query, signal, admin) {
  const pulls = found.status.direction === "pull";
  const became = (w) => w.delivery?.state ?? w.state;
  const named = (w) => (w.metric ? `${w.metric_set ?? ""}/${w.metric}` : w.metric_set ?? "");
  const wanted = { outcome: query.outcome ?? "", metric_set: query.set ?? "" };
  const choice = (key, name, label, any, entries) => {
    const id = fresh(name);
    return [h("label.hidden", { for: id }, label), h("span", h("select", { id, onchange: (e) => {
      wanted[key] = e.target.value;
      remember({ ...Object.fromEntries(new URLSearchParams(location.search)), [name]: e.target.value });
      table.anew();
    } }, h("option", { value: "" }, any), entries.map(([value, text]) => h("option", { value, selected: value === wanted[key] }, text))))];
  };
  const table = listing({
    label: "Windows", noun: "window", query, signal, keys: ["find", "sort", "page", "from"], find: false, filtered: () => Object.values(wanted).some(Boolean),
    tools: [...choice("outcome", "outcome", "Outcome", "Any outcome", BECAME[found.status.direction] ?? BECAME.push), ...choice("metric_set", "set", "Metric Set", "Any metric set", found.metric_sets.map((set) => [set, set]))],
    fetch: async ({ sort, cursor, limit }) => {
      const asked = new URLSearchParams({ limit, ...Object.fromEntries(Object.entries({ ...wanted, sort, cursor }).filter(([, value]) => value)) });
      const got = await api.get(`${root}/windows?${asked}`, { signal });
      return { rows: got.windows, next: got.next };
    },
    columns: [
      { label: "Window", by: "start", cell: (w) => h("span", time(fromSeconds(w.start)), " – ", time(fromSeconds(w.end), "clock")) },
      { label: "Metric Set", cell: (w) => named(w) || h("span.none", "deleted") },
      { label: "Outcome", cell: (w) => h("div", outcome(became(w)), why(w) && h("div.small.soft", why(w))), clip: true },
      { label: "Rows", number: true, cell: (w) => (w.delivery && (w.delivery.accepted_rows || w.delivery.rejected_rows)
        ? `${number(w.delivery.accepted_rows)} of ${number(w.delivery.accepted_rows + w.delivery.rejected_rows)} accepted` : number(w.rows)) },
      !pulls && { label: "Tries", number: true, cell: (w) => number(w.delivery?.attempts) },
      { label: "Recorded", cell: (w) => ago(fromMicros(w.delivery?.updated ?? w.recorded)) },
      { label: "Details", hide: true, bare: true, fit: true, cell: (w) => h("button.small", { type: "button", "aria-label": `Details of the window from ${new Date(w.start * 1000).toLocaleString()}`, onclick: () => details(root, w, pulls, admin) }, "Details") },
    ].filter(Boolean),
    empty: empty("No window yet", found.metric_sets.length ? "The first one is recorded when it ends." : "No metric set is connected to this store."),
  });
  await table.ready;
  return h("div.stack", h("p.soft", "Every window ends as arrived, rejected or expired, with a reason: there is no silent gap."), table);
}

const why = (w) => w.delivery?.problem ?? w.reason;

function details(root, w, pulls, admin) {
  return dialog(`${w.metric_set ?? "Deleted metric set"}, window of ${new Date(w.end * 1000).toLocaleString()}`, (close) => {
    const place = h("div", { "aria-live": "polite" });
    const rejections = Array.isArray(w.delivery?.rejections) ? w.delivery.rejections : [];
    const show = (send) => async (e) => doing(e.target, place, async () => {
      const replay = await api.post(`${root}/replay`, { metric_set: w.metric_set, metric: w.metric, at: w.start, send });
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
