// The adapters of this host: what there is, what each asks for, and who uses it.

import * as api from "../lib/api.js";
import { at } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { duration } from "../lib/format.js";
import { link, path } from "../lib/router.js";
import { card, copyable, empty, facts, head, outward } from "../parts/bits.js";
import { listing, plain } from "../parts/listing.js";
import { message } from "../parts/say.js";

const DIRECTION = { push: "Tidegate sends", pull: "a scraper reads", both: "either way" };

export async function adapters({ query, signal }) {
  const rows = (await api.get("/adapters", { signal })).adapters;
  const table = listing({
    label: "Adapters", noun: "adapter", rows, query, text: (a) => `${a.name} ${a.vendor} ${a.summary} ${a.direction}`,
    columns: [
      { label: "Adapter", by: (a) => a.name, cell: (a) => h("div", h("a", { href: path`/adapters/${a.name}` }, a.name), h("div.small.soft", a.summary)), clip: true },
      { label: "Version", by: (a) => a.version, cell: (a) => a.version },
      { label: "Vendor", by: (a) => a.vendor, cell: (a) => a.vendor || h("span.none", "not told") },
      { label: "Way", by: (a) => a.direction, cell: (a) => DIRECTION[a.direction] ?? a.direction },
      { label: "Contract", by: (a) => a.contract, cell: (a) => a.contract },
      { label: "Where from", by: (a) => a.file ?? "", cell: (a) => (a.file ? h("code", a.file) : "built in") },
      { label: "Digest", cell: (a) => h("code", { title: a.digest }, `${a.digest.replace("sha256:", "").slice(0, 12)}…`) },
    ],
    empty: empty("No adapter", "The six adapters that travel with Tidegate should be here. The log of the server says what is wrong."),
  });
  return { title: "Adapters", body: [head("Adapters", { lead: "Each is a sandboxed component. It computes; the host sends, and holds the credentials." }), table] };
}

export async function adapter({ params: { adapter: name }, signal }) {
  const [found, used] = await Promise.all([
    api.get(at`/adapters/${name}`, { signal }),
    api.get(`/stores?${new URLSearchParams({ find: name, limit: 200 })}`, { signal }).catch(() => ({ metric_stores: [] })),
  ]);
  const stores = used.metric_stores.filter((s) => s.adapter === name);
  return {
    title: name, crumbs: [["Adapters", link("/adapters")]],
    body: [
      head(name, { lead: found.summary }),
      card("What it is", facts([
        ["Version", found.version], ["Vendor", found.vendor || "not told"], ["Way", DIRECTION[found.direction] ?? found.direction], ["Contract", found.contract],
        ["Where from", found.file ?? "built in"], found.documentation && ["Documentation", outward(found.documentation)],
        found.push?.["look-back"] && ["Oldest window it takes", duration(found.push["look-back"])],
      ]), h("div.field", h("span.label", "Digest"), copyable(found.digest, "the digest"))),
      card("What it may reach", found.endpoints.length
        ? [h("p.soft", "It names these by their keys; the host fills in the store's settings, checks the address and connects. It sees no URL and no credential."),
          plain("Endpoints", ["Key", "Kind", "Where"], found.endpoints.map((e) => [e.key, e.kind, h("code", e.url ?? `{${e.host}}:{${e.port}}`)]))]
        : h("p", "Nothing. It only renders pages that others read.")),
      card("What it asks for", found.settings.length ? plain("Settings", ["Setting", "Kind", "Needed", "What it is"], found.settings.map((s) => [
        h("div", h("strong", s.label), h("div", h("code.small", s.key))), s.kind + (s.choices?.length ? `: ${s.choices.map((c) => c.label).join(", ")}` : ""),
        s.required ? "yes" : s.default !== undefined ? `no, ${JSON.stringify(s.default)}` : "no",
        h("div", s.help, s.when && h("div.small.soft", `Only if ${s.when.setting} is ${s.when.is.join(" or ")}`))])) : h("p", "Nothing: it works as it is.")),
      card("Who uses it", stores.length ? h("ul", stores.map((s) => h("li", h("a", { href: path`/p/${s.project}/stores/${s.name}` }, `${s.project}/${s.name}`)))) : message("hint", h("p", "No metric store uses it."))),
    ],
  };
}
