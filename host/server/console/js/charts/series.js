// Lines over time. The table beside it says the same in words; the picture is for eyes, keyboard and pointer read its values out.

import { fill, h, s } from "../lib/dom.js";
import { axisTime, compact, number, time } from "../lib/format.js";
import { ticks, timeTicks } from "./scale.js";

const MARGIN = { left: 52, right: 10, top: 10, bottom: 24 };

/**
 * `lines` are {name, points: [[seconds, value or null], …]}, all over the same moments; `unit` names the values.
 */
export function series({ label, lines, from, to, unit, height = 240 }) {
  const readout = h("div.readout", { "aria-live": "polite" });
  const box = h("div.chart-box");
  const moments = lines[0]?.points.map(([at]) => at) ?? [];
  let at = -1;

  const draw = () => {
    const width = Math.max(300, Math.round(box.clientWidth || 800));
    const inner = { width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
    const marks = ticks(Math.max(0, ...lines.flatMap((l) => l.points.map(([, v]) => v ?? 0))));
    const most = marks.at(-1);
    const x = (t) => MARGIN.left + ((t - from) / Math.max(1, to - from)) * inner.width;
    const y = (v) => MARGIN.top + inner.height - (Math.max(0, v) / most) * inner.height;
    const picture = s("svg.chart", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
      marks.map((v) => [s("line.grid", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(v), y2: y(v) }), s("text", { x: MARGIN.left - 6, y: y(v) + 4, "text-anchor": "end" }, compact(v))]),
      timeTicks(from, to, Math.max(2, Math.floor(inner.width / 110))).map((t) => [s("line.axis", { x1: x(t), x2: x(t), y1: y(0), y2: y(0) + 4 }), s("text", { x: Math.min(Math.max(x(t), 30), width - 34), y: height - 6, "text-anchor": "middle" }, axisTime(t, to - from))]),
      s("line.axis", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(0), y2: y(0) }),
      lines.length === 1 && s("path.f1.area", { d: area(lines[0].points, x, y) }),
      lines.map((line, i) => s(`path.line.s${(i % 8) + 1}`, { d: trace(line.points, x, y) })),
      moments[at] !== undefined && s("line.cursor", { x1: x(moments[at]), x2: x(moments[at]), y1: MARGIN.top, y2: y(0) }));
    picture.addEventListener("pointermove", (e) => {
      const bounds = picture.getBoundingClientRect();
      const t = from + (((e.clientX - bounds.left) / bounds.width) * width - MARGIN.left) / inner.width * (to - from);
      point(nearest(moments, t));
    });
    picture.addEventListener("pointerleave", () => point(-1));
    fill(box, picture);
  };
  const point = (next) => {
    if (next === at) return;
    at = next;
    fill(readout, moments[at] !== undefined && [time(new Date(moments[at] * 1000)), " · ", lines.map((l) => `${lines.length > 1 ? `${l.name}: ` : ""}${number(l.points[at]?.[1])} ${lines.length > 1 ? "" : unit}`).join(" · ")]);
    draw();
  };
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", `${label}. Arrow keys read the values`);
  box.addEventListener("keydown", (e) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[e.key];
    if (step === undefined) return;
    e.preventDefault();
    point(Math.min(Math.max(at + step, 0), moments.length - 1));
  });
  new ResizeObserver(draw).observe(box);
  draw();
  return h("figure.stack", box, readout, lines.length > 1 && key(lines.map((l) => l.name)));
}

const nearest = (moments, t) => {
  let best = -1;
  for (let i = 0; i < moments.length; i += 1) if (best < 0 || Math.abs(moments[i] - t) < Math.abs(moments[best] - t)) best = i;
  return best;
};

function trace(points, x, y) {
  let path = "";
  let pen = false;
  for (const [t, v] of points) {
    if (v === null || v === undefined) { pen = false; continue; }
    path += `${pen ? "L" : "M"}${x(t).toFixed(1)} ${y(v).toFixed(1)}`;
    pen = true;
  }
  return path || "M0 0";
}

function area(points, x, y) {
  const there = points.filter(([, v]) => v !== null && v !== undefined);
  if (there.length < 2) return "M0 0";
  return `M${x(there[0][0])} ${y(0)}L${there.map(([t, v]) => `${x(t).toFixed(1)} ${y(v).toFixed(1)}`).join("L")}L${x(there.at(-1)[0])} ${y(0)}Z`;
}

export function key(names) {
  return h("ul.key", names.map((name, i) => h("li", s("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, s(`rect.f${(i % 8) + 1}`, { width: 10, height: 10, rx: 2 })), name)));
}
