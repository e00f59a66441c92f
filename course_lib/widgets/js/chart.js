// Axes with ticks and labels, as an SVG that scales with its place.
import { short, svg } from "./common.js";

/**
 * A plot area.
 *
 * @param x, y { from, to, label, log = false, ticks = about five of round numbers }.
 * @returns root (the SVG), area (the group to draw in, which ends at the axes), at({ x, y }) in the SVG's units,
 *   read(event) in the axes' units, and path(points), the text of a path's attribute d.
 */
export function chart({ title, label, x, y, width, height }) {
  const box = { left: 54, top: 22, right: width - 8, bottom: height - 34 };
  const across = scale(x, box.left, box.right);
  const up = scale(y, box.bottom, box.top);
  const clip = `clip-${Math.random().toString(36).slice(2)}`;
  const area = svg("g", { "clip-path": `url(#${clip})` });
  const texts = svg("g", { class: "chart-text" });
  const frame = { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top };
  const write = (text, at, more = {}) => texts.append(svg("text", { ...at, ...more }, text));
  for (const tick of across.ticks) {
    write(short(tick), { x: across.at(tick), y: box.bottom + 14 }, { "text-anchor": "middle" });
  }
  for (const tick of up.ticks) write(short(tick), { x: box.left - 5, y: up.at(tick) + 4 }, { "text-anchor": "end" });
  write(title, { x: (box.left + box.right) / 2, y: 14 }, { "text-anchor": "middle", class: "chart-title" });
  write(x.label, { x: (box.left + box.right) / 2, y: height - 4 }, { "text-anchor": "middle" });
  const middle = (box.top + box.bottom) / 2;
  write(y.label, { x: 11, y: middle, transform: `rotate(-90 11 ${middle})` }, { "text-anchor": "middle" });
  const root = svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, width, height, class: "chart", role: "img", "aria-label": label },
    svg("defs", {}, svg("clipPath", { id: clip }, svg("rect", frame))),
    svg("rect", { ...frame, class: "chart-frame" }),
    texts,
    area,
  );
  const at = (point) => ({ x: across.at(point.x), y: up.at(point.y) });
  return {
    root,
    area,
    at,
    read(event) {
      const shown = root.getBoundingClientRect();
      return {
        x: across.read(((event.clientX - shown.left) / shown.width) * width),
        y: up.read(((event.clientY - shown.top) / shown.height) * height),
      };
    },
    path(points) {
      return points.map(at).map((p, n) => `${n ? "L" : "M"}${p.x.toFixed(1)} ${p.y.toFixed(1)}`).join("");
    },
  };
}

function scale({ from, to, log = false, ticks = null }, low, high) {
  const inner = log ? Math.log10 : (value) => value;
  const [first, last] = [inner(from), inner(to)];
  return {
    // Far outside of the axes a browser's own numbers overflow: they end a little outside.
    at: (value) => {
      const part = (inner(Math.max(value, log ? 1e-300 : -Infinity)) - first) / (last - first);
      return low + Math.min(Math.max(part, -3), 4) * (high - low);
    },
    read: (pixel) => {
      const value = first + ((pixel - low) / (high - low)) * (last - first);
      return log ? 10 ** value : value;
    },
    ticks: ticks ?? (log ? powers(first, last) : round(from, to)),
  };
}

function powers(first, last) {
  const step = Math.max(1, Math.ceil((last - first) / 5));
  const all = [];
  for (let power = Math.ceil(first - 1e-9); power <= last + 1e-9; power += step) all.push(10 ** power);
  return all;
}

function round(from, to) {
  const raw = (to - from) / 5;
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = size * [1, 2, 5, 10].find((one) => one * size >= raw * 0.999);
  const all = [];
  for (let n = Math.ceil(from / step - 1e-9); n * step <= to + step * 1e-9; n += 1) all.push(Number((n * step).toPrecision(12)));
  return all;
}
