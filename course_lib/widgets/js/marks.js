// What is drawn on a chart besides lines: dots, arrowheads, remarks.
import { svg } from "./common.js";

/** A path that is only round dots, by lines of no length. */
export function dots(points) {
  return points.map(({ x, y }) => `M${x.toFixed(1)} ${y.toFixed(1)}h0`).join("");
}

/** A head in the middle of each step that is long enough. */
export function arrows(points) {
  return points
    .slice(1)
    .map((to, n) => {
      const [dx, dy] = [to.x - points[n].x, to.y - points[n].y];
      const length = Math.hypot(dx, dy);
      if (length < 18) return "";
      const [ux, uy] = [dx / length, dy / length];
      const [x, y] = [points[n].x + dx / 2 + 4 * ux, points[n].y + dy / 2 + 4 * uy];
      const side = (sign) => `L${(x - 8 * ux + sign * 4 * uy).toFixed(1)} ${(y - 8 * uy - sign * 4 * ux).toFixed(1)}`;
      return `M${x.toFixed(1)} ${y.toFixed(1)}${side(1)}${side(-1)}Z`;
    })
    .join("");
}

/** A remark in the upper left ("start") or right ("end") of a chart, if there is one to make. */
export function note(plot, anchor, text) {
  const frame = plot.root.querySelector(".chart-frame");
  const [x, y, width] = ["x", "y", "width"].map((name) => Number(frame.getAttribute(name)));
  const at = { x: anchor === "end" ? x + width - 8 : x + 8, y: y + 16, "text-anchor": anchor };
  return text ? [svg("text", { ...at, class: "note" }, text)] : [];
}
