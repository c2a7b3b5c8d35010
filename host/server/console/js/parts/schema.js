// Fields for an adapter's settings, made from the schema that the adapter brings. A setting that depends on another is there only
// when the other has the value that asks for it. Secrets go in and are never shown.

import { fill, fresh, h } from "../lib/dom.js";
import { areaField, checkbox, field, selectField, textField } from "./fields.js";

const HIDDEN = "…";

/** settingsForm(schema, values) has `.value()` for the API and `.faults()` for the summary. */
export function settingsForm(schema, values = {}, { editing = false } = {}) {
  const made = new Map();
  const box = h("div.stack");
  const current = (key) => {
    const entry = made.get(key);
    if (!entry) { const s = schema.find((x) => x.key === key); return values[key] ?? s?.default; }
    return entry.read();
  };
  const asked = (s) => !s.when || s.when.is.includes(String(current(s.when.setting)));
  const draw = () => {
    for (const s of schema) {
      const entry = made.get(s.key);
      entry.shown = asked(s) && (!s.when || made.get(s.when.setting)?.shown !== false);
      entry.element.hidden = !entry.shown;
      // A hidden field must not hold the form up.
      for (const control of entry.element.querySelectorAll("input, select, textarea")) control.disabled = !entry.shown;
    }
  };
  for (const s of schema) made.set(s.key, one(s, values[s.key], editing));
  fill(box, schema.map((s) => made.get(s.key).element));
  box.addEventListener("input", draw);
  box.addEventListener("change", draw);
  // Twice, since a setting may depend on a later one.
  draw(); draw();

  box.value = () => {
    const out = {};
    for (const s of schema) {
      const entry = made.get(s.key);
      if (!entry.shown) continue;
      const value = entry.write();
      if (value !== undefined) out[s.key] = value;
    }
    return out;
  };
  box.faults = () => schema.filter((s) => made.get(s.key).shown).flatMap((s) => {
    const entry = made.get(s.key);
    entry.field?.wrong("");
    const text = entry.field && fault(s, entry);
    return text ? [{ field: entry.field, text }] : [];
  });
  /** The field that a sentence of the server is about, if it names one. */
  box.named = (sentence) => {
    const key = /setting "([^"]+)"/.exec(sentence)?.[1];
    return made.get(key)?.field ?? null;
  };
  return box;
}

function one(s, value, editing) {
  const shared = { label: s.label, help: helpOf(s), optional: !s.required };
  const isSet = value === HIDDEN;
  if (s.kind === "boolean") {
    const box = checkbox(s.label, { checked: value ?? s.default ?? false, help: s.help });
    return { element: h("div.field", box), read: () => box.control.checked, write: () => box.control.checked };
  }
  if (s.kind === "choice") {
    const entries = s.choices.map((c) => [c.value, c.label]);
    const none = !s.required && s.default === undefined ? [["", "–"]] : [];
    const f = selectField({ ...shared, optional: false, value: value ?? s.default ?? none[0]?.[0] ?? entries[0]?.[0], choices: [...none, ...entries] });
    return { element: f, field: f, read: () => f.control.value, write: () => f.control.value || undefined };
  }
  if (s.kind === "secret" || s.kind === "secret-url") return secret(s, shared, isSet, editing);
  if (s.kind === "certificates") {
    const f = areaField({ ...shared, code: true, rows: 5, value: value ?? "", placeholder: "-----BEGIN CERTIFICATE-----" });
    return { element: f, field: f, read: () => f.control.value, write: () => f.control.value.trim() || undefined };
  }
  const numeric = s.kind === "integer" || s.kind === "port";
  const f = textField({ ...shared, type: numeric ? "number" : "text", inputmode: s.kind === "url" ? "url" : null, value: value ?? "", placeholder: s.default === undefined || s.default === null ? null : String(s.default), min: s.min ?? (s.kind === "port" ? 1 : null), max: s.max ?? (s.kind === "port" ? 65535 : null) });
  if (s.kind === "template") f.control.classList.add("code");
  return {
    element: f, field: f, read: () => f.control.value || s.default,
    write: () => (f.control.value.trim() === "" ? undefined : numeric ? Number(f.control.value) : f.control.value.trim()),
  };
}

function helpOf(s) {
  const parts = [s.help];
  if (s.kind === "template") parts.push(`Placeholders: ${s.placeholders.map((p) => `{${p}}`).join(" ")}${s.must?.length ? `; it must have ${s.must.map((p) => `{${p}}`).join(" and ")}` : ""}`);
  if (s.min !== undefined || s.max !== undefined) parts.push(`${s.min ?? ""} to ${s.max ?? "any"}`);
  return parts.filter(Boolean).join(". ");
}

function secret(s, shared, isSet, editing) {
  const id = fresh("secret");
  const f = field({ ...shared, optional: shared.optional && !isSet, help: [shared.help, isSet && "It is set and never shown. Leave it empty to keep it."].filter(Boolean).join(". "),
    control: (more) => h("input", { type: "password", autocomplete: "new-password", spellcheck: "false", placeholder: isSet ? "unchanged" : null, ...more }) });
  const drop = editing && isSet && !s.required ? checkbox("Remove it", { name: id }) : null;
  return {
    element: drop ? h("div.stack", f, drop) : f, field: f, isSet, read: () => f.control.value,
    write: () => (drop?.control.checked ? null : f.control.value || undefined),
  };
}

function fault(s, entry) {
  const text = String(entry.field.control.value ?? "").trim();
  if (!text) return s.required && s.default === undefined && !entry.isSet ? "needs a value" : null;
  if (s.kind === "url" || s.kind === "secret-url") {
    try {
      if (!["http:", "https:"].includes(new URL(text).protocol)) return "must begin with http:// or https://";
    } catch { return "is not a URL; it must begin with http:// or https://"; }
  }
  if (s.kind === "integer" || s.kind === "port") {
    const n = Number(text);
    if (!Number.isInteger(n)) return "must be a whole number";
    const [least, most] = [s.min ?? (s.kind === "port" ? 1 : -Infinity), s.max ?? (s.kind === "port" ? 65535 : Infinity)];
    if (n < least || n > most) return `must be ${least} to ${most}`;
  }
  if (s.kind === "template") {
    const missing = (s.must ?? []).find((p) => !text.includes(`{${p}}`));
    if (missing) return `must hold {${missing}}, so that series stay apart`;
    const strange = [...text.matchAll(/\{([^}]*)\}/g)].map((m) => m[1]).find((p) => !s.placeholders.includes(p));
    if (strange !== undefined) return `knows no placeholder {${strange}}`;
  }
  if (s.kind === "certificates" && !text.includes("-----BEGIN CERTIFICATE-----")) return "must be certificates in PEM";
  return null;
}
