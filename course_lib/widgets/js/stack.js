// What torch makes of a stack of layers: shapes, parameters, its own words for what does not fit, receptive fields.

const WINDOWS = {
  conv3: { kernel: 3, stride: 1, padding: 1 },
  conv5: { kernel: 5, stride: 2, padding: 0 },
  depthwise: { kernel: 3, stride: 1, padding: 1 },
  conv1: { kernel: 1, stride: 1, padding: 0 },
  pool: { kernel: 2, stride: 2, padding: 0 },
};
const OUTPUTS = 10; // of a dense layer

/** A layer that is made for what arrives, as far as its kind can know that: `torch` as it is printed, `code` as written. */
export function build(kind, shape, channels) {
  const inputs = shape[1];
  const window = WINDOWS[kind] ?? null;
  const layer = { kind, window, parameters: 0, inputs: 0, ...named() };
  layer.code ??= layer.torch;
  return layer;

  function named() {
    if (kind === "dense" || kind === "dense2048") return linear(kind === "dense" ? shape.at(-1) : 2048);
    if (kind === "pool") {
      const torch = "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)";
      return { torch, code: "MaxPool2d(2)" };
    }
    if (window) return kind === "depthwise" ? conv(inputs, inputs) : conv(channels, 1);
    return {
      batchnorm: {
        torch: `BatchNorm2d(${inputs}, eps=1e-05, momentum=0.1, affine=True, …)`, // the rest differs between releases
        code: `BatchNorm2d(${inputs})`,
        parameters: 2 * inputs,
      },
      relu: { torch: "ReLU()" },
      flatten: { torch: "Flatten(start_dim=1, end_dim=-1)", code: "Flatten()" },
      mean: { torch: "AdaptiveAvgPool2d(output_size=1)", code: "AdaptiveAvgPool2d(1)" },
      nothing: { torch: "Identity()" },
    }[kind];
  }
  function linear(features) {
    return {
      inputs: features, // of each sum
      parameters: OUTPUTS * (features + 1),
      torch: `Linear(in_features=${features}, out_features=${OUTPUTS}, bias=True)`,
      code: `Linear(${features}, ${OUTPUTS})`,
    };
  }
  function conv(outputs, groups) {
    const { kernel, stride, padding } = window;
    const pair = (value) => `(${value}, ${value})`;
    const each = (inputs / groups) * kernel * kernel;
    const grouped = groups > 1 ? `, groups=${groups}` : "";
    const more = (stride > 1 ? `, stride=${stride}` : "") + (padding ? `, padding=${padding}` : "") + grouped;
    return {
      outputs,
      groups,
      inputs: each,
      parameters: outputs * (each + 1),
      torch:
        `Conv2d(${inputs}, ${outputs}, kernel_size=${pair(kernel)}, stride=${pair(stride)}` +
        `${padding ? `, padding=${pair(padding)}` : ""}${grouped})`,
      code: `Conv2d(${inputs}, ${outputs}, ${kernel}${more})`,
    };
  }
}

/** { output }, the shape that a layer gives, or { error }, torch's message. */
export function forward(layer, shape) {
  const { kind, window } = layer;
  const last = shape.at(-1);
  if (kind.startsWith("dense")) {
    if (last === layer.inputs) return { output: [...shape.slice(0, -1), OUTPUTS] };
    const sizes = `${size(shape) / last}x${last} and ${layer.inputs}x${OUTPUTS}`;
    return { error: `mat1 and mat2 shapes cannot be multiplied (${sizes})` };
  }
  if (kind === "flatten") return { output: [shape[0], size(shape) / shape[0]] };
  if (kind === "mean") return { output: shape.length === 4 ? [...shape.slice(0, 2), 1, 1] : [1, 1] };
  if (kind === "batchnorm" && shape.length === 2) return { error: "expected 4D input (got 2D input)" };
  if (!window) return { output: shape };
  if (shape.length === 2) {
    const sizes = `[${shape.join(", ")}]`;
    return kind === "pool"
      ? { error: "non-empty 3D or 4D (batch mode) tensor expected for input" }
      : { error: `Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: ${sizes}` };
  }
  const { kernel, stride, padding } = window;
  const sides = shape.slice(2).map((side) => Math.floor((side + 2 * padding - kernel) / stride) + 1);
  if (Math.min(...sides) > 0) return { output: [shape[0], layer.outputs ?? shape[1], ...sides] };
  const [channels, height, width] = shape.slice(1);
  return kind === "pool"
    ? {
        error:
          `Given input size: (${channels}x${height}x${width}). Calculated output size: ` +
          `(${channels}x${sides.join("x")}). Output size is too small`,
      }
    : {
        error:
          `Calculated padded input size per channel: (${height + 2 * padding} x ${width + 2 * padding}). ` +
          `Kernel size: (${kernel} x ${kernel}). Kernel size can't be greater than actual input size`,
      };
}

/**
 * One gray image through all layers, up to the first that does not fit.
 *
 * @returns for each layer { layer, input, output or error, multiplyAdds, fields }: `fields` is [along the rows, along the
 *   columns], in pixels, as the formula without the image's border says; Infinity behind a sum over all of them.
 */
export function trace(kinds, side, channels) {
  const rows = [];
  let shape = [1, 1, side, side];
  let axes = [1, 2].map(() => ({ field: 1, step: 1 }));
  for (const kind of kinds) {
    const layer = build(kind, shape, channels);
    const done = forward(layer, shape);
    const input = shape;
    if (done.error) return [...rows, { layer, input, ...done }];
    axes = axes.map((axis, n) => seenThrough(layer, input, axis, n));
    shape = done.output;
    const multiplyAdds = layer.inputs * size(shape);
    rows.push({ layer, input, output: shape, multiplyAdds, fields: axes.map((axis) => axis.field) });
  }
  return rows;
}

function seenThrough({ kind, window }, input, { field, step }, axis) {
  if (sumsOver(kind, input, axis)) return { field: Infinity, step };
  if (!window) return { field, step };
  return { field: field + (window.kernel - 1) * step, step: step * window.stride };
}

/** Whether each output needs all that arrives along an axis: 0 for rows, 1 for columns. */
function sumsOver(kind, input, axis) {
  if (kind === "mean") return true;
  return kind.startsWith("dense") && (input.length === 2 || axis === 1); // the last axis only, without flatten
}

/**
 * What the output in the middle of layer n sees: { index, rows, columns }, the latter as [first, last] pixel of the image.
 *
 * Of flattened numbers, the one in the middle comes from the middle of the maps.
 */
export function seen(rows, n) {
  const { output } = rows[n];
  const before = rows.findIndex(({ layer, input }) => layer.kind === "flatten" && input.length === 4);
  const flat = output.length === 2;
  const maps = flat ? rows[before].input : output;
  const mixed = flat && rows.slice(before + 1, n + 1).some(({ layer, input }) => sumsOver(layer.kind, input, 0));
  const [, channel, row, column] = maps.map((length) => Math.floor(length / 2));
  const place = (channel * maps[2] + row) * maps[3] + column;
  const index = !flat ? [0, channel, row, column] : [0, mixed ? Math.floor(output[1] / 2) : place];
  let area = mixed ? maps.slice(2).map((length) => [0, length - 1]) : [[row, row], [column, column]];
  for (let at = flat ? before - 1 : n; at >= 0; at -= 1) {
    area = area.map((range, axis) => arrived(rows[at], range, axis));
  }
  return { index, rows: area[0], columns: area[1] };
}

function arrived({ layer: { kind, window }, input }, [first, last], axis) {
  const end = input[2 + axis] - 1;
  if (sumsOver(kind, input, axis)) return [0, end];
  if (!window) return [first, last];
  const { kernel, stride, padding } = window;
  return [Math.max(first * stride - padding, 0), Math.min(last * stride - padding + kernel - 1, end)];
}

function size(shape) {
  return shape.reduce((product, length) => product * length, 1);
}
