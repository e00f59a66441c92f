// What is said of a stack of layers: of each layer, of what one output sees, and of the whole.
import { count } from "./common.js";

/** A whole number, all of its digits. */
export function digits(number) {
  return number.toLocaleString("en-US");
}

export function tuple(shape) {
  return `(${shape.join(", ")})`;
}

/** "5 layers turn (1, 1, 32, 32) into (1, 10), with ...", or which layer does not fit, in torch's words. */
export function summary(rows, side) {
  const { layer, input, output, error } = rows.at(-1);
  const stop = error?.endsWith(".") ? "" : ".";
  if (error) return `Layer ${rows.length - 1}, ${layer.code}, does not fit what arrives, ${tuple(input)}: ${error}${stop}`;
  const real = rows.filter((row) => row.layer.kind !== "nothing").length;
  if (!real) return "There is no layer yet; choose one.";
  const total = rows.reduce((sum, row) => sum + row.layer.parameters, 0);
  const turn = real === 1 ? "turns" : "turn";
  return `${count(real, "layer")} ${turn} ${tuple([1, 1, side, side])} into ${tuple(output)}, with ${digits(total)} parameters.`;
}

/** "Conv2d(1, 8, 3, padding=1): each side (32 + 2×1 − 3)/1 + 1 = 32; ...": what a layer does to the shape. */
export function explained({ layer, input, output }) {
  return `${layer.code}: ${effect(layer, input, output)}; ${parameters(layer, output)}.`;
}

function effect({ kind, window, inputs }, input, output) {
  const maps = input.length === 4;
  switch (kind) {
    case "nothing":
      return "passes on what arrives";
    case "relu":
      return "each negative number becomes 0; the shape stays";
    case "batchnorm":
      return "brings each channel to mean 0 and variance 1, then scales and shifts it; the shape stays";
    case "flatten":
      return maps ? `${input.slice(1).join("×")} = ${digits(output[1])} numbers in one row` : "one row already";
    case "mean":
      return maps ? `${count(input[1], "map")}, each replaced by its mean` : "there are no maps, so the mean of everything";
    case "pool":
      return `${sides(window, input, output)}; ${count(input[1], "channel")} as before`;
    case "dense":
    case "dense2048":
      if (!maps) return `${output[1]} sums, each over all ${digits(inputs)} inputs`;
      return `acts on the last axis only: each row of ${digits(inputs)} numbers becomes ${output[3]}, in each map by itself`;
    default:
      return `${sides(window, input, output)}; ${count(output[1], "channel")}`;
  }
}

/** "each side (33 − 2)/2 + 1 = 16.5, rounded down: 16"; height and width apart where they differ. */
function sides({ kernel, stride, padding }, input, output) {
  const one = (axis) => {
    const exact = (input[axis] + 2 * padding - kernel) / stride + 1;
    const rounded = exact === output[axis] ? "" : `, rounded down: ${output[axis]}`;
    return `(${input[axis]}${padding ? ` + 2×${padding}` : ""} − ${kernel})/${stride} + 1 = ${exact}${rounded}`;
  };
  return input[2] === input[3] ? `each side ${one(2)}` : `height ${one(2)}, width ${one(3)}`;
}

function parameters({ kind, window, inputs, groups, parameters: total }, output) {
  if (!total) return "no parameters";
  if (kind === "batchnorm") return `2 for each channel, ${digits(total)} parameters`;
  const outputs = window ? output[1] : output.at(-1);
  const weights = window ? `${inputs / window.kernel ** 2}×${window.kernel}×${window.kernel}` : digits(inputs);
  const each = groups > 1 ? `one kernel for each channel, ` : "";
  return `${each}${outputs}×(${weights} + 1) = ${digits(total)} parameters`;
}

/** "rows 15 to 18 of 32 and all columns". */
export function view({ rows, columns }, side) {
  const one = ([first, last], noun) => {
    if (last - first + 1 === side) return `all ${noun}s`;
    return first === last ? `${noun} ${first} of ${side}` : `${noun}s ${first} to ${last} of ${side}`;
  };
  const both = `${one(rows, "row")} and ${one(columns, "column")}`;
  return both === "all rows and all columns" ? "the whole image" : both;
}

/** "3 × 3", "4 rows, all columns", "whole image": by the formula, or what is really seen where all is summed. */
export function fieldSize(fields, { rows, columns }, side) {
  const [height, width] = [rows, columns].map(([first, last], axis) => {
    if (Number.isFinite(fields[axis])) return fields[axis];
    return last - first + 1 === side ? "all" : last - first + 1;
  });
  if (height === "all" && width === "all") return "whole image";
  return width === "all" ? `${count(height, "row")}, all columns` : `${height} × ${width}`;
}
