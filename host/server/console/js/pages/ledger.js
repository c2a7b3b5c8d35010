// The ledger of the tenant: what stores are owed, what they will never get; and whether the files of the host are sound.

import * as api from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { ago, bytes, count, fromSeconds, number, time } from "../lib/format.js";
import { link, path } from "../lib/router.js";
import { who } from "../lib/session.js";
import { card, empty, facts, head } from "../parts/bits.js";
import { listing } from "../parts/listing.js";
import { doing, message } from "../parts/say.js";
import { outcome } from "./states.js";

const store = (row) => h("a", { href: path`/p/${row.project}/stores/${row.store}` }, row.store);
const project = { label: "Project", by: "project", cell: (row) => h("a", { href: path`/p/${row.project}/stores` }, row.project) };

/** A page of a list that the server filters and sorts. */
const asking = (list, member, signal, seen = () => {}) => async ({ find, sort, cursor, limit }) => {
  const asked = new URLSearchParams({ limit, ...(find ? { search: find } : {}), ...(sort ? { sort } : {}), ...(cursor ? { cursor } : {}) });
  const got = await api.get(`${list}?${asked}`, { signal });
  seen(got);
  return { rows: got[member], total: got.total, next: got.next };
};

export async function ledger({ query, signal }) {
  const trouble = h("div");
  const owed = listing({
    label: "What stores are owed", noun: "metric store", query, signal, keys: ["find", "sort", "page", "from"],
    fetch: asking("/ledger", "stores", signal, ({ problem }) => fill(trouble, problem && message("bad", h("h2", "Windows are not recorded at the moment"), h("p", problem)))),
    columns: [
      { label: "Metric Store", by: "store", cell: store }, project,
      { label: "Oldest undelivered", by: "oldest_undelivered", cell: (s) => (s.oldest_undelivered ? ago(fromSeconds(s.oldest_undelivered)) : h("span.dim", "nothing waits")) },
      { label: "Waiting", number: true, by: "queued", cell: (s) => (s.queued ? `${count(s.queued, "window")}, ${bytes(s.queued_bytes)}` : h("span.dim", "–")) },
      { label: "Arrived", number: true, by: "confirmed", cell: (s) => number(s.confirmed) },
      { label: "Rejected", number: true, by: "rejected", cell: (s) => number(s.rejected) },
      { label: "Expired", number: true, by: "expired", cell: (s) => number(s.expired) },
      { label: "Why", cell: (s) => s.problem ?? "", clip: true, roomy: true },
    ],
    empty: empty("No store that is sent to", "Windows for stores that Tidegate sends to are kept here until they have arrived.", h("a.button", { href: link("/stores") }, "All Metric Stores")),
  });
  const gaps = listing({
    label: "What stores will never get", noun: "gap", query, signal, keys: ["gfind", "gsort", "gpage", "gfrom"], fetch: asking("/ledger/gaps", "gaps", signal),
    columns: [
      { label: "Metric Store", by: "store", cell: store }, project,
      { label: "Metric Set", by: "metric_set", cell: (g) => (g.metric_set ? h("a", { href: path`/p/${g.project}/metric-sets/${g.metric_set}` }, g.metric_set) : h("span.none", "deleted")) },
      { label: "From", by: "start", cell: (g) => time(fromSeconds(g.start)) },
      { label: "To", by: "end", cell: (g) => time(fromSeconds(g.end)) },
      { label: "Windows", number: true, by: "windows", cell: (g) => number(g.windows) },
      { label: "Outcome", by: "outcome", cell: (g) => outcome(g.outcome) },
      { label: "Why", cell: (g) => g.reason, clip: true, roomy: true },
    ],
    empty: message("good", h("p", "No window is missing in any store.")),
  });
  await Promise.all([owed.ready, gaps.ready]);
  return { title: "Ledger", body: [
    head("Ledger", { lead: "Every window and what became of it: it arrives, or there is a reason here why it did not." }), trouble,
    h("section.stack", h("h2", "What stores are owed"), owed), h("section.stack", h("h2", "What stores will never get"), gaps), who()?.operator && files(),
  ] };
}

/** What an operator can do for the files of the host, while everything goes on. */
function files() {
  const place = h("div", { "aria-live": "polite" });
  const problems = (found) => found.map((problem) => h("li", problem));
  const verify = h("button", { type: "button", onclick: () => doing(verify, place, async () => {
    const found = await api.post("/ledger/verify");
    fill(place, found.problems.length ? message("bad", h("h3", "The files are damaged"), h("ul", problems(found.problems)), h("p", "Restore a backup: tidegate ledger restore.")) : message("good", h("p", `The files are sound: ${count(found.windows, "window")} compared with their digests.`)));
  }, "The files could not be looked at") }, "Look whether the files are sound");
  const backup = h("button", { type: "button", onclick: () => doing(backup, place, async () => {
    const made = await api.post("/ledger/backup");
    fill(place, message(made.problems.length ? "bad" : "good", h("h3", made.problems.length ? "The backup is not sound" : "The backup is made and sound"), made.problems.length > 0 && h("ul", problems(made.problems)),
      facts([["Folder", h("code.break", made.backup)], ["Size", bytes(made.bytes)]]), h("p", "Copy it to another machine. The key for its secrets is not in it.")));
  }, "No backup was made") }, "Make a backup");
  return card("The files of this host", h("p.soft", "Both go on beside everything else. A series of backups is made by tidegate serve --backup-every."), h("div.actions", verify, backup), place);
}
