// The adapters of this host: what there is, what each asks for, and who uses it.

import * as api from "../lib/api.js";
import { at } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { bytes, duration, number } from "../lib/format.js";
import { go, link, path } from "../lib/router.js";
import { who } from "../lib/session.js";
import { card, copyable, empty, facts, head, outward } from "../parts/bits.js";
import { confirm, dialog } from "../parts/dialog.js";
import { field } from "../parts/fields.js";
import { limitName, limitOf, used } from "../parts/limits.js";
import { listing, plain } from "../parts/listing.js";
import { doing, message, note } from "../parts/say.js";

const DIRECTION = { push: "Tidegate sends", pull: "a scraper reads", both: "either way" };

const PINNED = "Stores keep the version that they use by its digest; other bytes are another version.";
/** Who vouches for a version, in short; and what that means. */
function signature(of = {}) {
  const short = { "part-of-tidegate": "part of Tidegate", signed: `signed by ${of.key}`, "unknown-key": "signed by an unknown key", unsigned: "unsigned" }[of.state] ?? of.state ?? "not told";
  const long = {
    "part-of-tidegate": [short],
    signed: [`${short}, key `, h("code", of.key_id), of.comment && [". The signer says: ", h("q", of.comment)]],
    "unknown-key": ["signed by the key ", h("code", of.key_id), ", which this host does not trust. So the signature proves nothing."],
    unsigned: ["unsigned: nobody vouches for it but whoever put it here"],
  }[of.state] ?? [short];
  return { short, long, kind: of.state === "signed" || of.state === "part-of-tidegate" ? "good" : "idle" };
}
export const signed = (a) => { const { short, kind } = signature(a.signature); return h("span.state.wrap", { class: kind, title: [a.signature?.comment, PINNED].filter(Boolean).join(" · ") }, short); };
const share = (limit) => (limit ? limit.used / Math.max(1, limit.limit) : null);
const use = (a, name) => { const limit = limitOf(a.limits, name); return limit ? used(limit) : h("span.dim", a.stores ? "not called yet" : "not in use"); };

export async function adapters({ query, signal }) {
  const { adapters: rows, refused = [], folder, signatures } = await api.all("/adapters", "adapters", { signal });
  const operator = who()?.operator;
  const table = listing({
    label: "Adapters", noun: "adapter", rows, query, text: (a) => `${a.name} ${a.vendor} ${a.summary} ${a.direction} ${signature(a.signature).short}`,
    columns: [
      { label: "Adapter", by: (a) => a.name, cell: (a) => h("div", h("a", { href: path`/adapters/${a.default === false ? a.digest : a.name}` }, a.name), h("div.small.soft", a.summary)), clip: true, roomy: true },
      { label: "Version", by: (a) => a.version, cell: (a) => h("div", a.version, " ", a.default && rows.filter((r) => r.name === a.name).length > 1 && h("span.tag", "for new stores"),
        h("div", h("code.small", { title: a.digest }, `${a.digest.replace("sha256:", "").slice(0, 12)}…`))) },
      { label: "Vendor", by: (a) => a.vendor, cell: (a) => a.vendor || h("span.none", "not told") },
      { label: "Way", by: (a) => a.direction, cell: (a) => DIRECTION[a.direction] ?? a.direction },
      { label: "Signature", by: (a) => `${a.signature?.state} ${a.signature?.key ?? ""} ${a.file ?? ""}`, cell: (a) => h("div", signed(a), a.builtin ? null : a.file ? h("div", h("code.small.break", { title: a.file }, a.file.split("/").at(-1))) : h("div.small.soft", "kept for its stores")), clip: true },
      { label: "Stores", number: true, by: (a) => a.stores, cell: (a) => number(a.stores) },
      { label: "CPU time, last minute", by: (a) => share(limitOf(a.limits, "cpu-per-minute")), cell: (a) => use(a, "cpu-per-minute") },
      { label: "Memory", by: (a) => share(limitOf(a.limits, "memory")), cell: (a) => use(a, "memory") },
    ],
    empty: empty("No adapter", "The six adapters that travel with Tidegate should be here. The log of the server says what is wrong."),
  });
  const actions = operator ? [h("button.main", { type: "button", onclick: () => upload() }, "Upload an adapter")] : [];
  return { title: "Adapters", body: [head("Adapters", { lead: "Each is a sandboxed component. It computes; the host sends, and holds the credentials.", actions }), table,
    refused.length > 0 && card("Files that are no adapters", plain("Refused files", ["File", "Why"], refused.map((r) => [h("code", r.file), r.reason]))),
    policy(signatures, operator ? folder : null)] };
}

/** Where adapters come from, and whose signatures count. */
function policy({ required = false, keys = [] } = {}, folder) {
  return card("Whose adapters are taken",
    required ? h("p", "Only those that come with Tidegate, and those that one of these keys has signed. Everything else is refused.") : h("p", "All. A signature by one of these keys tells who made an adapter; without one, whoever put it here vouches for it."),
    keys.length > 0 ? plain("Trusted keys", ["Vendor", "Key"], keys.map((key) => [key.name, h("code", key.key_id)])) : h("p.soft", "No key is trusted yet. An operator puts a vendor's public key (minisign) into the server's folder of keys, as VENDOR.pub; it counts at once."),
    folder && h("p.small.soft", "Components that are put into ", h("code", folder), " are taken up at once, with the signature that lies beside them as *.wasm.minisig."));
}

/** A component is inspected first; it goes live when somebody has seen what it asks for. */
function upload() {
  return dialog("Upload an adapter", (close) => {
    const file = field({ label: "Component", help: "A WebAssembly component, *.wasm. It is inspected in the sandbox before anything goes live.", control: (more) => h("input", { type: "file", accept: ".wasm,application/wasm", required: true, ...more }) });
    const beside = field({ label: "Signature", optional: true, help: "What the vendor made with minisign -Sm, *.wasm.minisig.", control: (more) => h("input", { type: "file", accept: ".minisig", ...more }) });
    const place = h("div.stack", { "aria-live": "polite" });
    const inspect = h("button.main", { type: "submit" }, "Inspect");
    const send = async (dry) => {
      const asked = new URLSearchParams(dry ? { dry_run: "true" } : {});
      if (beside.control.files.length) asked.set("signature", await beside.control.files[0].text());
      return api.post(`/adapters?${asked}`, file.control.files[0]);
    };
    return h("form.stack", { onsubmit: (e) => {
      e.preventDefault();
      if (!file.control.files.length) { file.wrong("needs a file"); return; }
      file.wrong("");
      doing(inspect, place, async () => {
        const found = await send(true);
        const install = h("button.main", { type: "button", onclick: () => doing(install, place, async () => { const made = await send(false); close(); note(`${made.name} ${made.version} is installed`); await go(path`/adapters/${made.digest}`); }, "It was not installed") }, "Install");
        fill(place, facts([["Name", found.name], ["Version", found.version], ["Vendor", found.vendor || "not told"], found.documentation && ["Documentation", outward(found.documentation)], ["Way", DIRECTION[found.direction] ?? found.direction], ["Contract", found.contract], ["Size", bytes(found.size)], ["Signature", signature(found.signature).long]]),
          h("div", h("h3", "What it asks for"), h("ul", (found.asks ?? []).map((ask) => h("li", ask)))), message("hint", h("p", "Installing changes no store: each keeps its version until somebody changes it.")), h("div.actions", install));
      }, "This is no adapter that can be used");
    } }, file, beside, h("div.actions", inspect, h("button", { type: "button", onclick: () => close() }, "Cancel")), place);
  });
}

async function removeAdapter(found) {
  if (await confirm(`Remove ${found.name} ${found.version}?`, h("p", "Its file goes out of the adapter folder. A version that stores use, or can go back to, stays."), "Remove", () => api.remove(at`/adapters/${found.digest}`))) { note("The adapter is removed"); go(link("/adapters")); }
}

function usersOf(found, query) {
  return listing({
    label: "Metric Stores that use it", noun: "metric store", query, rows: found.used_by ?? [], text: (s) => `${s.project} ${s.store}`,
    columns: [
      { label: "Metric Store", by: (s) => s.store, cell: (s) => h("a", { href: path`/p/${s.project}/stores/${s.store}` }, s.store) },
      { label: "Project", by: (s) => s.project, cell: (s) => h("a", { href: path`/p/${s.project}/stores` }, s.project) },
    ],
    empty: message("hint", h("p", "No metric store uses it. Choose it when you make one.")),
  });
}

export async function adapter({ params: { adapter: name }, query, signal }) {
  const found = await api.get(at`/adapters/${name}`, { signal });
  return {
    title: found.name, crumbs: [["Adapters", link("/adapters")]],
    body: [
      head(found.name, { lead: found.summary, actions: who()?.operator && found.file && !found.builtin ? [h("button.risky", { type: "button", onclick: () => removeAdapter(found) }, "Remove")] : [] }),
      card("What it is", facts([
        ["Version", found.version], ["Vendor", found.vendor || "not told"], ["Way", DIRECTION[found.direction] ?? found.direction], ["Contract", found.contract],
        ["Where from", found.file ?? "built in"], found.size && ["Size", bytes(found.size)], found.documentation && ["Documentation", outward(found.documentation)],
        found.push?.["look-back"] && ["Oldest window it takes", duration(found.push["look-back"])],
        ["Signature", signature(found.signature).long],
      ]), h("div.field", h("span.label", "Digest"), h("div.help", PINNED), copyable(found.digest, "the digest"))),
      card("What it may reach", found.endpoints.length
        ? [h("p.soft", "It names these by their keys; the host fills in the store's settings, checks the address and connects. It sees no URL and no credential."),
          plain("Endpoints", ["Key", "Kind", "Where"], found.endpoints.map((e) => [e.key, e.kind, h("code.break", e.url ?? `{${e.host}}:{${e.port}}`)]), { fold: true })]
        : h("p", "Nothing. It only renders pages that others read.")),
      card("What it asks for", found.settings.length ? plain("Settings", ["Setting", "Kind", "Needed", "What it is"], found.settings.map((s) => [
        h("div", h("strong", s.label), h("div", h("code.small", s.key))), s.kind + (s.choices?.length ? `: ${s.choices.map((c) => c.label).join(", ")}` : ""),
        s.required ? "yes" : s.default !== undefined ? `no, ${JSON.stringify(s.default)}` : "no",
        h("div", s.help, s.when && h("div.small.soft", `Only if ${s.when.setting} is ${s.when.is.join(" or ")}`))]), { fold: true }) : h("p", "Nothing: it works as it is.")),
      card("What it uses", found.limits?.length
        ? plain("Limits", ["Limit", "Used of it", "By the store that is nearest to it"], found.limits.map((l) => [limitName(l), used(l), `${l.of.project}/${l.of.store}`]), { fold: true })
        : h("p.soft", found.stores ? "It was not called since the start of the server." : "No metric store uses it, so it uses nothing.")),
      card("Who uses it", usersOf(found, query)),
    ],
  };
}
