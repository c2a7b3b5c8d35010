// The largest groups as bars, with their names and values written out.

import { h, s } from "../lib/dom.js";
import { number } from "../lib/format.js";

const ROW = 24;

/** `rows` are {name, value}; what is longer than the space is cut in the picture and whole on hover. */
export function bars({ label, rows, unit }) {
  const width = 640;
  const names = 210;
  const most = Math.max(...rows.map((r) => Math.abs(r.value ?? 0)), 1e-9);
  const height = Math.max(1, rows.length) * ROW + 4;
  const text = rows.map((r) => `${r.name}: ${number(r.value)}`).join("; ");
  return h("figure", s("svg.chart.bars", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${label}. ${text}` },
    rows.map((row, i) => {
      const y = i * ROW + 3;
      const room = width - names - 90;
      const size = Math.max(1, (Math.abs(row.value ?? 0) / most) * room);
      return s("g",
        s("title", `${row.name}: ${number(row.value)} ${unit}`),
        s("text", { x: names - 8, y: y + 13, "text-anchor": "end" }, row.name.length > 32 ? `${row.name.slice(0, 31)}…` : row.name),
        s("rect.bar-ground", { x: names, y, width: room, height: ROW - 7, rx: 2 }),
        s("rect.f1", { x: names, y, width: size, height: ROW - 7, rx: 2 }),
        s("text.value", { x: names + room + 8, y: y + 13 }, number(row.value)));
    })));
}
