// Tables that filter and sort. What is filtered and sorted stands in the address. On a narrow screen a row becomes a small card.

import { fill, fresh, h, later } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { note } from "../lib/router.js";
import { announce, failure } from "./say.js";

const PAGE = 50;

/**
 * Columns are {label, cell(row), by(row), number, bare, fit}; `by` makes a column sortable, the filter looks at `text(row)`.
 * `fetch`, if it is there, asks the server for a page ({find, sort, cursor, limit, signal}) → {rows, total, next}; then `by` of a
 * column is the server's word for it. A log has no total: then it goes on for as long as there is a next page.
 */
export function listing({ label, columns, rows = [], text, fetch = null, query = {}, empty, noun = "entry", nouns, tools = [], keys = ["find", "sort", "page", "from"], page = PAGE, filtered = () => false, find: finds = true, signal }) {
  const [findKey, sortKey, pageKey, fromKey] = keys;
  const state = { find: query[findKey] ?? "", sort: query[sortKey] ?? "", page: Math.max(1, Number(query[pageKey]) || 1) };
  // Where each page begins that has been seen; of an address that somebody sent, only the page that it leads to.
  let cursors = [""];
  if (fetch) {
    if (state.page > 1 && query[fromKey]) cursors[state.page - 1] = query[fromKey];
    else state.page = 1;
  }
  let asked = 0;
  const body = h("tbody", { role: "rowgroup" });
  const heads = h("tr", { role: "row" });
  const said = h("span");
  const pager = h("div.row");
  const id = fresh("find");
  const find = h("input", { type: "search", id, value: state.find, placeholder: "Filter", autocomplete: "off" });
  // The roles are those that the elements have anyway; browsers drop them where the style makes blocks of rows.
  const table = h(columns.length > 7 ? "table.fold.dense" : "table.fold", { "aria-label": label, role: "table" }, h("thead", { role: "rowgroup" }, heads), body);
  const scroll = h("div.scroll", table);
  const foot = h("div.foot", said, pager);
  const order = h("select", { "aria-label": `Sort ${label.toLowerCase()} by`, onchange: () => { state.sort = order.value; anew(); } },
    h("option", { value: "" }, "As it comes"), columns.filter((c) => c.by).flatMap((c) => [h("option", { value: slug(c.label) }, `${c.label} ↑`), h("option", { value: `-${slug(c.label)}` }, `${c.label} ↓`)]));
  const bar = h("div.tools", finds && [h("label.hidden", { for: id }, `Filter ${label.toLowerCase()}`), find], ...tools, columns.some((c) => c.by) && h("span.narrow-only", order));
  const whole = h("div.listing", bar, scroll, foot);

  const remember = () => {
    const others = Object.fromEntries(new URLSearchParams(location.search));
    note({ ...others, [findKey]: state.find, [sortKey]: state.sort, [pageKey]: state.page > 1 ? state.page : "", ...(fetch ? { [fromKey]: state.page > 1 ? cursors[state.page - 1] : "" } : {}) });
  };
  const redraw = () => draw().catch((error) => fill(scroll, failure(error, "The list cannot be shown") ?? []));
  const anew = () => { state.page = 1; cursors = [""]; remember(); redraw(); };
  const sorted = () => {
    const [down, name] = state.sort.startsWith("-") ? [true, state.sort.slice(1)] : [false, state.sort];
    return { down, column: columns.find((c) => c.by && slug(c.label) === name) };
  };

  function drawHeads() {
    const { down, column } = sorted();
    order.value = state.sort;
    fill(heads, columns.map((c) => {
      const mine = c === column;
      const attributes = { scope: "col", role: "columnheader", class: `${c.number ? "number" : ""}${c.fit ? " fit" : ""}`, "aria-sort": mine ? (down ? "descending" : "ascending") : null };
      if (!c.by) return h("th", attributes, c.hide ? h("span.hidden", c.label) : c.label);
      return h("th", attributes, h("button", { type: "button", onclick: () => {
        state.sort = mine && !down ? `-${slug(c.label)}` : slug(c.label);
        anew();
      } }, c.label, h("span.mark", { "aria-hidden": "true" }, mine ? (down ? "↓" : "↑") : "")));
    }));
  }

  async function draw() {
    drawHeads();
    const { down, column } = sorted();
    let shown;
    let total;
    let endless = false;
    if (fetch) {
      const mine = (asked += 1);
      const got = await fetch({ find: state.find, sort: column ? `${down ? "-" : ""}${column.by}` : "", cursor: cursors[state.page - 1], limit: page, signal });
      // Answers may come in another order than they were asked for: the last question counts.
      if (mine !== asked || signal?.aborted) return undefined;
      cursors = cursors.slice(0, state.page);
      if (got.next) cursors[state.page] = got.next;
      [shown, total] = [got.rows, got.total ?? (state.page > 1 && !got.rows.length ? 1 : got.rows.length)];
      endless = got.total === undefined;
    } else {
      const words = state.find.toLowerCase().split(/\s+/).filter(Boolean);
      let found = words.length ? rows.filter((row) => { const t = text(row).toLowerCase(); return words.every((w) => t.includes(w)); }) : rows;
      if (column) found = [...found].sort((a, b) => (down ? -1 : 1) * compare(column.by(a), column.by(b)));
      total = found.length;
      state.page = Math.min(state.page, Math.max(1, Math.ceil(total / page)));
      shown = found.slice((state.page - 1) * page, state.page * page);
    }
    const nothing = total === 0 && !state.find && !filtered();
    bar.hidden = nothing && tools.length === 0;
    foot.hidden = nothing;
    if (nothing && empty) return fill(scroll, empty);
    if (total === 0) fill(scroll, h("div.empty", h("p", state.find ? `No ${noun} matches “${state.find}”.` : `No ${noun} is like that.`), state.find && h("button", { type: "button", onclick: () => { find.value = ""; changed(); find.focus(); } }, "Clear the filter")));
    else fill(scroll, table);
    fill(body, shown.map((row) => h("tr", { role: "row" }, columns.map((c, i) => h(i === 0 ? "th" : "td", {
      role: i === 0 ? "rowheader" : "cell",
      class: `${c.number ? "number" : ""}${c.clip ? " clip" : ""}${c.roomy ? " roomy" : ""}${c.bare ? " bare" : ""}${c.fit ? " fit" : ""}`, scope: i === 0 ? "row" : null, "data-label": c.label,
    }, h("div.cell", c.cell(row)))))));
    const first = (state.page - 1) * page;
    const pages = endless ? state.page + (cursors[state.page] ? 1 : 0) : Math.ceil(total / page);
    const some = `${first + 1}–${first + shown.length}`;
    const alone = pages <= 1 && state.page === 1;
    said.textContent = alone ? count(total, noun, nouns) : endless ? `${nouns ?? `${noun}s`} ${some}${cursors[state.page] ? ", and more" : ""}` : `${some} of ${count(total, noun, nouns)}`;
    const place = endless ? `Page ${state.page}` : `Page ${state.page} of ${pages}`;
    const turn = (to, name) => h("button.small", { type: "button", disabled: to < 1 || to > pages || (fetch && to > state.page && !cursors[to - 1]), onclick: () => {
      // Of a page that was not seen on the way here, nobody knows where it begins.
      state.page = fetch && cursors[to - 1] === undefined ? 1 : to;
      remember(); redraw(); announce(`Page ${state.page}`);
    } }, name);
    fill(pager, (pages > 1 || state.page > 1) && [turn(state.page - 1, "Previous"), h("span", place), turn(state.page + 1, "Next")]);
    return undefined;
  }

  const changed = () => { state.find = find.value; anew(); };
  find.addEventListener("input", later(fetch ? 200 : 80, changed));
  whole.refresh = (more) => { if (more) rows = more; return draw(); };
  whole.anew = anew;
  whole.ready = draw();
  return whole;
}

export const slug = (label) => label.toLowerCase().replace(/[^a-z0-9]+/g, "-");

/** Numbers by size, texts by their words, nothing last. */
export function compare(a, b) {
  const none = (v) => v === null || v === undefined;
  if (none(a) || none(b)) return none(a) - none(b);
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

/** A table that is only looked at. With `fold`, its rows become small cards on a narrow screen, for which heads have to be text. */
export function plain(label, heads, rows, { fold = false } = {}) {
  const said = (head) => head.label ?? head;
  return h("div.table-plain", { tabindex: "0", role: "region", "aria-label": label }, h(fold ? "table.fold" : "table", { "aria-label": label, role: "table" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads.map((head) => h("th", { scope: "col", role: "columnheader", class: head.number ? "number" : null }, said(head))))),
    h("tbody", { role: "rowgroup" }, rows.map((cells) => h("tr", { role: "row" }, cells.map((cell, i) => h("td", { role: "cell", class: heads[i]?.number ? "number" : null, "data-label": fold ? said(heads[i]) : null }, h("div.cell", cell))))))));
}
