// One event: what it was, its stack, its attributes, and the report as it came.

import * as api from "../lib/api.js";
import { at } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { bytes, fromSeconds, time, value } from "../lib/format.js";
import { path } from "../lib/router.js";
import { card, copyable, download, facts, head } from "../parts/bits.js";
import { listing, plain } from "../parts/listing.js";
import { message } from "../parts/say.js";

export async function event({ params: { project, object }, query, signal }) {
  const found = await api.get(at`/projects/${project}/events/${object}`, { signal });
  const a = found.attributes;
  const title = [a["error.type"] ?? first(found.report?.classifiers), a["error.message"]].filter(Boolean).join(": ") || `Event ${object}`;
  const rows = Object.entries(a).map(([name, v]) => ({ name, value: v })).sort((x, y) => x.name.localeCompare(y.name));
  const similar = (name) => path`/p/${project}/explore` + `?${new URLSearchParams({ q: JSON.stringify({ filter: [{ [name]: [["equal", a[name]]] }] }) })}`;
  return {
    title: `Event ${object}`, crumbs: [[project, path`/p/${project}`], ["Explore", path`/p/${project}/explore`]],
    body: [
      head(title, { lead: h("span", "Event ", h("code", object), ", ", a.timestamp === undefined ? "" : time(fromSeconds(a.timestamp))) }),
      card("Where it happened", facts([
        a["application"] !== undefined && ["Application", value(a.application)],
        (a["application.version"] ?? a["app.version"]) !== undefined && ["Version", value(a["application.version"] ?? a["app.version"])],
        a.hostname !== undefined && ["Host", value(a.hostname)],
        (a["uname.sysname"]) !== undefined && ["System", `${a["uname.sysname"]} ${a["uname.release"] ?? a["uname.version"] ?? ""}`],
        (a["device.model"]) !== undefined && ["Device", value(a["device.model"])],
        a.guid !== undefined && ["Installation", h("code", String(a.guid))],
        a.fingerprint !== undefined && ["Fingerprint", h("a", { href: similar("fingerprint") }, `${String(a.fingerprint).slice(0, 12)}… (all like this)`)],
      ])),
      stacks(found),
      found.attachments.length > 0 && card("Attachments", plain("Attachments", ["Name", "Type", { label: "Size", number: true }], found.attachments.map((x) => [x.name, x.content_type ?? "", bytes(x.size)]))),
      h("section.stack", h("h2", "Attributes"), listing({
        label: "Attributes", noun: "attribute", rows, query, page: 200, text: (r) => `${r.name} ${r.value}`,
        columns: [
          { label: "Attribute", by: (r) => r.name, cell: (r) => r.name },
          { label: "Value", by: (r) => r.value, cell: (r) => h("span.break", value(r.value)), clip: true },
          { label: "Like this", hide: true, bare: true, fit: true, cell: (r) => h("a", { href: similar(r.name), "aria-label": `Events with the same ${r.name}` }, "Same") },
        ],
      })),
      found.report && card("The report", h("div.actions", h("button", { type: "button", onclick: () => download(`event-${object}.json`, "application/json", JSON.stringify(found.report, null, 2)) }, "Download as JSON")),
        h("details", h("summary", "Show it here"), copyable(JSON.stringify(found.report, null, 2), "the report", { block: true }))),
    ],
  };
}

const first = (list) => (Array.isArray(list) ? list[0] : undefined);

/** The threads of the report, the one at fault first; or the stack that is only an attribute. */
function stacks({ report, attributes }) {
  const threads = report?.threads && typeof report.threads === "object" ? Object.entries(report.threads) : [];
  const at = (id, t) => (t?.fault || id === report?.mainThread ? 0 : 1);
  const shown = threads.filter(([, t]) => Array.isArray(t?.stack) && t.stack.length).sort(([a, x], [b, y]) => at(a, x) - at(b, y));
  if (shown.length) {
    const [[id, main], ...others] = shown;
    return card("Stack", h("p.soft", `Thread ${main.name ?? id}${main.fault ? ", where it went wrong" : ""}`), frames(main.stack),
      others.length > 0 && h("details", h("summary", `${others.length} other threads`), h("div.stack", others.map(([other, t]) => [h("h3", t.name ?? other), frames(t.stack)]))));
  }
  try {
    const parsed = JSON.parse(attributes.callstack);
    if (Array.isArray(parsed.frame) && parsed.frame.length) return card("Stack", frames(parsed.frame.map((funcName) => ({ funcName }))));
  } catch { /* no stack in this form */ }
  return card("Stack", message("hint", h("p", "This event came without a stack.")));
}

function frames(stack) {
  return h("ol.frames", { role: "list" }, stack.slice(0, 200).map((frame) => {
    const what = frame?.funcName ?? frame?.function ?? frame?.address ?? "unknown function";
    const place = [frame?.library ?? frame?.object, frame?.sourceCode && typeof frame.sourceCode === "string" ? null : frame?.path, frame?.line !== undefined ? `line ${frame.line}` : null].filter(Boolean).map(String).join(", ");
    return h("li", h("div", h("div.what", String(what)), place && h("div.where", place)));
  }), stack.length > 200 && h("li", h("div", `${stack.length - 200} more`)));
}
