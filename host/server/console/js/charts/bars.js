// The largest groups as bars, with their names and values written out.

import { fill, h, s } from "../lib/dom.js";
import { number } from "../lib/format.js";

const ROW = 24;
/** What a letter takes at the size of the text, with room to spare. */
const LETTER = 6.6;

/** `rows` are {name, value}; what is longer than the space is cut in the picture and whole on hover. */
export function bars({ label, rows, unit }) {
  const most = Math.max(...rows.map((r) => Math.abs(r.value ?? 0)), 1e-9);
  const height = Math.max(1, rows.length) * ROW + 4;
  const text = rows.map((r) => `${r.name}: ${number(r.value)}`).join("; ");
  const box = h("div.chart-box.bars");
  let width = 0;
  const draw = () => {
    const wide = Math.max(240, Math.round(box.clientWidth || 640));
    if (wide === width) return;
    width = wide;
    const names = Math.min(210, Math.round(width * 0.36));
    const figures = Math.max(...rows.map((r) => number(r.value).length), 1) * LETTER + 12;
    const room = Math.max(20, width - names - figures);
    const letters = Math.max(4, Math.floor((names - 8) / LETTER));
    const bar = (row, i) => {
      const y = i * ROW + 3;
      return s("g",
        s("title", `${row.name}: ${number(row.value)} ${unit}`),
        s("text", { x: names - 8, y: y + 13, "text-anchor": "end" }, row.name.length > letters ? `${row.name.slice(0, letters - 1)}…` : row.name),
        s("rect.bar-ground", { x: names, y, width: room, height: ROW - 7, rx: 2 }),
        s("rect.f1", { x: names, y, width: Math.max(1, (Math.abs(row.value ?? 0) / most) * room), height: ROW - 7, rx: 2 }),
        s("text.value", { x: names + room + 8, y: y + 13 }, number(row.value)));
    };
    fill(box, s("svg.chart", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${label}. ${text}` }, rows.map(bar)));
  };
  new ResizeObserver(draw).observe(box);
  draw();
  return h("figure", box);
}
