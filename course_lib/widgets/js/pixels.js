// Small pictures of numbers: gray for brightness, orange and purple for signs.
import { element } from "./common.js";

/** A picture of pixels that are squares of the page. */
export function picture(size) {
  return element("canvas", { class: "pixels", role: "img", style: `width: ${size}px; height: ${size}px` });
}

export function paint(canvas, values, colors, label = "") {
  const [height, width] = [values.length, values[0].length];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  canvas.setAttribute("aria-label", label);
  const pixels = new ImageData(width, height);
  values.flat().forEach((value, n) => pixels.data.set([...colors(value), 255], 4 * n));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

export function gray(value) {
  return Array(3).fill(Math.round(255 * value));
}

/** Orange for positive, purple for negative numbers, white for 0, as in the lessons' tables. */
export function signed(limit) {
  return (value) => {
    const part = Math.min(Math.abs(value) / limit, 1);
    const end = value > 0 ? [179, 88, 6] : [84, 39, 136];
    return end.map((one) => Math.round(247 + part * (one - 247)));
  };
}
