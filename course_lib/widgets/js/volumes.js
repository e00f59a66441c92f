// Shapes as drawings: maps as boxes, whose front is height × width to scale and whose depth follows the channels; a row of
// numbers as a bar, whose height follows the logarithm of their count; connections, one of which may be broken.
import { svg } from "./common.js";

const FRONT = 60; // pixels, of the largest side
const HEIGHT = 88; // of a drawing
const FLOOR = HEIGHT - 2;
const LEFT = 1.5;

/** @param shape with the batch, or null for what is not reached; @param largest side of all maps. */
export function volume(shape, largest, kind = "maps") {
  if (!shape) return missing();
  if (shape.length === 2) return bar(shape[1]);
  const [, channels, ...sides] = shape;
  const [height, width] = sides.map((side) => Math.max((FRONT * side) / largest, 3));
  const depth = Math.min(3 * Math.sqrt(channels), 24);
  const [top, right] = [FLOOR - height, LEFT + width];
  const lid = `${LEFT},${top} ${LEFT + depth},${top - depth} ${right + depth},${top - depth} ${right},${top}`;
  const flank = `${right},${top} ${right + depth},${top - depth} ${right + depth},${FLOOR - depth} ${right},${FLOOR}`;
  return drawing(
    right + depth + LEFT,
    svg("polygon", { points: lid, class: `side ${kind}` }),
    svg("polygon", { points: flank, class: `side ${kind}` }),
    svg("rect", { x: LEFT, y: top, width, height, class: `front ${kind}` }),
  );
}

function bar(length) {
  const height = 10 + 12 * Math.log10(length);
  const parts = length <= 16 ? length : 1;
  const part = height / parts;
  const cells = Array.from({ length: parts }, (_, n) =>
    svg("rect", { x: LEFT, y: FLOOR - part * (n + 1), width: 12, height: part, class: "front maps" }),
  );
  return drawing(12 + 2 * LEFT, ...cells);
}

function missing() {
  return drawing(
    28,
    svg("rect", { x: LEFT, y: FLOOR - 40, width: 25, height: 40, class: "missing" }),
    svg("text", { x: 14, y: FLOOR - 15, "text-anchor": "middle", class: "question" }, "?"),
  );
}

/** Some rows and columns of the image, [first, last] each, to be laid onto its box; `side` is the image's, `largest` as above. */
export function patch({ rows, columns }, side, largest) {
  const pixel = FRONT / largest;
  const length = ([first, last]) => Math.max((last - first + 1) * pixel, 2);
  const [x, y] = [LEFT + columns[0] * pixel, FLOOR - (side - rows[0]) * pixel];
  return svg("rect", { x, y, width: length(columns), height: length(rows), class: "seen" });
}

/** An arrow: "whole", "broken" where a layer does not fit, or "unreached" behind that. */
export function connection(state) {
  const y = FLOOR - 20;
  if (state !== "broken") {
    const arrow = `M1 ${y}H15M10 ${y - 4}L15 ${y}L10 ${y + 4}`;
    return drawing(16, svg("path", { d: arrow, class: `link ${state}` }));
  }
  const torn = (from, to) => `M${from} ${y}H${to}l4 -9l-7 7l6 7l-5 6`;
  return drawing(
    76,
    svg("text", { x: 38, y: y - 27, "text-anchor": "middle", class: "cross" }, "✗"),
    svg("text", { x: 38, y: y - 14, "text-anchor": "middle", class: "unfit" }, "does not fit"),
    svg("path", { d: torn(4, 27), class: "link broken" }),
    svg("path", { d: torn(72, 47), class: "link broken" }),
  );
}

function drawing(width, ...parts) {
  return svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, "aria-hidden": "true" }, ...parts);
}
