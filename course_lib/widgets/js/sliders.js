// What is dragged on a chart: by a mouse, a finger or the keys of a slider.
import { svg } from "./common.js";

/** How far each key moves a slider. */
export const keys = ({ arrow, page, all }) => ({
  ...{ ArrowRight: arrow, ArrowUp: arrow, ArrowLeft: -arrow, ArrowDown: -arrow },
  ...{ PageUp: page, PageDown: -page, Home: -all, End: all },
});

/** Something to drag that keys move, too. */
export function slider(label, { min, max, steps, move }) {
  const onkeydown = (event) => {
    if (!(event.key in steps)) return;
    event.preventDefault();
    move(steps[event.key]);
  };
  const aria = { "aria-label": label, "aria-valuemin": min, "aria-valuemax": max };
  return svg("g", { role: "slider", tabindex: 0, class: "slider", onkeydown, ...aria });
}

export const within = (threshold) => Math.min(Math.max(threshold, 0), 1);
export const moveTo = (root, { x, y }) => root.setAttribute("transform", `translate(${x} ${y})`);

/** Calls `to` while a mouse's button is pressed or a finger moves. */
export function dragged(root, to) {
  root.style.cursor = "grab";
  root.addEventListener("pointerdown", (event) => {
    if (event.button) return; // the right one opens a menu
    event.preventDefault(); // no text is selected
    root.setPointerCapture(event.pointerId);
    if (event.pointerType !== "touch") to(event); // a finger may be about to scroll; a tap is a click
  });
  root.addEventListener("click", to);
  root.addEventListener("pointermove", (event) => root.hasPointerCapture(event.pointerId) && to(event));
}

/** A line is dragged across a whole chart; up and down a finger scrolls the page. */
export function draggedAcross(plot, to) {
  plot.root.style.touchAction = "pan-y";
  dragged(plot.root, (event) => to(within(Number(plot.read(event).x.toFixed(3)))));
}
