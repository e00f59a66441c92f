// One window of a convolution: the pixels under it, the products with the kernel, and where their sum goes.
import { choice, count, element, mount, numberField, numberGrid, pane, player, resetButton, short, status } from "./common.js";
import { signed } from "./pixels.js";

const SIDE = 3; // of the kernel

/** Pixels along one side after the convolution; below 1 where the kernel does not fit. */
function outputSize(size, { stride, padding, dilation }) {
  return Math.floor((size + 2 * padding - dilation * (SIDE - 1) - 1) / stride) + 1;
}

/** A channel (list of rows) with zeros around it. */
export function padded(channel, padding) {
  const width = channel[0].length + 2 * padding;
  const blank = () => Array(width).fill(0);
  const side = Array(padding).fill(0);
  return [
    ...Array.from({ length: padding }, blank),
    ...channel.map((row) => [...side, ...row, ...side]),
    ...Array.from({ length: padding }, blank),
  ];
}

/** The products of one channel's window with its table of the kernel, for the output at (row, column). */
export function products(channel, table, row, column, { stride, dilation }) {
  return table.map((line, r) =>
    line.map((weight, c) => channel[row * stride + r * dilation][column * stride + c * dilation] * weight),
  );
}

/** Output rows: image and kernel are lists of channels, and the image is padded already. */
export function convolve(image, kernel, setting) {
  const { stride, padding, dilation } = setting;
  const size = (length) => outputSize(length - 2 * padding, { stride, padding, dilation });
  const sum = (row, column) =>
    kernel.flatMap((table, k) => products(image[k], table, row, column, setting).flat()).reduce((a, b) => a + b, 0);
  return Array.from({ length: size(image[0].length) }, (_, row) =>
    Array.from({ length: size(image[0][0].length) }, (_, column) => sum(row, column)),
  );
}

const EDITED = "edited";

function render(state) {
  const setting = { stride: 1, padding: 0, dilation: 1 };
  const place = { row: 0, column: 0 };
  const told = status();
  let channels = 1;
  let kernel = tables(state.kernels[0].tables);
  let images, answers; // padded; rows of the output

  function tables(given) {
    return Array.from({ length: state.image.length }, (_, k) => given[k % given.length].map((row) => [...row]));
  }

  // --- controls
  const preset = choice({
    label: "kernel",
    options: [...state.kernels.map(({ name }) => [name, name]), [EDITED, EDITED]],
    value: state.kernels[0].name,
    change(name) {
      const found = state.kernels.find((one) => one.name === name);
      if (!found) return preset.set(named());
      kernel = tables(found.tables);
      fields.forEach((table, k) => table.forEach((line, r) => line.forEach((one, c) => one.set(kernel[k][r][c]))));
      update();
    },
  });
  function named() {
    const same = ({ tables: given }) => JSON.stringify(tables(given)) === JSON.stringify(kernel);
    return state.kernels.find(same)?.name ?? EDITED;
  }
  const limits = { stride: [1, 3], padding: [0, 2], dilation: [1, 3] };
  const setters = {};
  for (const [name, [min, max]] of Object.entries(limits)) {
    const change = (to) => set(name, to);
    setters[name] = numberField({ label: name, value: setting[name], min, max, refuse: told.refuse, change });
  }
  function set(name, to) {
    const before = setting[name];
    setting[name] = to;
    const sizes = [state.image[0].length, state.image[0][0].length];
    if (sizes.some((size) => outputSize(size, setting) < 1)) {
      setting[name] = before;
      setters[name].set(before);
      const reach = (name === "dilation" ? to : setting.dilation) * (SIDE - 1) + 1;
      const have = Math.min(...sizes) + 2 * (name === "padding" ? to : setting.padding);
      return told.refuse(`The kernel would cover ${reach} pixels, but the padded image has ${have}; ${name} ${before} stays.`);
    }
    update();
  }
  const amount = choice({
    label: "input channels",
    options: state.image.map((_, k) => [String(k + 1), k + 1]),
    value: 1,
    change: (to) => ((channels = to), update()),
  });
  const walk = player({
    step() {
      const next = place.row * answers[0].length + place.column + 1;
      if (next >= answers.length * answers[0].length) {
        told.say("That was the last output; Restart begins again with the first.");
        return false;
      }
      go(Math.floor(next / answers[0].length), next % answers[0].length);
      return true;
    },
    restart: () => go(0, 0),
  });

  // --- drawing: a line for each channel, and the output
  const fields = kernel.map((table, k) =>
    table.map((line, r) =>
      line.map((weight, c) =>
        numberField({
          label: `weight ${r}, ${c} of channel ${k}`,
          value: weight,
          whole: false,
          refuse: told.refuse,
          change: (to) => ((kernel[k][r][c] = to), preset.set(named()), update()),
        }),
      ),
    ),
  );
  const inputs = state.image.map(() => numberGrid({ label: "the image" }));
  const parts = state.image.map(() => numberGrid({ label: "products" }));
  const sums = state.image.map(() => element("p", { class: "sum" }));
  const output = numberGrid({ label: "output", choose: go });
  const lines = state.image.map((_, k) =>
    element(
      "div",
      { class: "line channel" },
      pane(state.image.length > 1 ? `image, channel ${k}` : "image", inputs[k].root),
      element("span", { class: "sign" }, "×"),
      element(
        "div",
        { class: "line" },
        pane("kernel", element("div", { class: "weights" }, ...fields[k].flat().map((one) => one.input))),
        element("span", { class: "sign" }, "="),
        pane("products", parts[k].root, sums[k]),
      ),
    ),
  );
  inputs.forEach((one) => dragged(one.root));
  const shape = element("p", { class: "sum" });

  /** The window follows a finger or a pressed mouse on the image. */
  function dragged(root) {
    const move = (event) => {
      const box = root.getBoundingClientRect();
      const reach = setting.dilation * (SIDE - 1) + 1;
      const to = (at, start, length, pixels, last) => {
        const pixel = ((at - start) / length) * pixels;
        return Math.min(Math.max(Math.round((pixel - reach / 2) / setting.stride), 0), last);
      };
      go(
        to(event.clientY, box.top, box.height, images[0].length, answers.length - 1),
        to(event.clientX, box.left, box.width, images[0][0].length, answers[0].length - 1),
      );
    };
    root.classList.add("draggable");
    root.addEventListener("pointerdown", (event) => {
      root.setPointerCapture(event.pointerId);
      walk.pause();
      move(event);
    });
    root.addEventListener("pointermove", (event) => root.hasPointerCapture(event.pointerId) && move(event));
  }

  /** How to color products or outputs: by their sign, where there can be two. */
  function tint(values) {
    const factors = [images, kernel.slice(0, channels)].flat(3);
    return factors.some((one) => one < 0) ? { colors: signed(Math.max(...values.flat().map(Math.abs)) || 1) } : {};
  }

  function go(row, column) {
    if (row === place.row && column === place.column) return;
    Object.assign(place, { row, column });
    drawWindow();
  }

  function update() {
    images = state.image.slice(0, channels).map((one) => padded(one, setting.padding));
    answers = convolve(images, kernel.slice(0, channels), setting);
    place.row = Math.min(place.row, answers.length - 1);
    place.column = Math.min(place.column, answers[0].length - 1);
    lines.forEach((line, k) => (line.hidden = k >= channels));
    stack.classList.toggle("several", channels > 1);
    output.draw(answers, tint(answers));
    shape.textContent = `${answers.length}×${answers[0].length} numbers`;
    drawWindow();
  }

  function drawWindow() {
    const { row, column } = place;
    const [top, left] = [row * setting.stride, column * setting.stride];
    const { padding, dilation } = setting;
    const tap = (at, start) => at >= start && at <= start + 2 * dilation && (at - start) % dilation === 0;
    const reached = (at, start) => at >= start && at <= start + 2 * dilation;
    const totals = images.map((image, k) => {
      const outside = (r, c) =>
        r < padding || c < padding || r >= image.length - padding || c >= image[0].length - padding;
      inputs[k].draw(image, {
        label: `image, channel ${k}: the window covers rows ${top} to ${top + 2 * dilation} and columns ${left} to ${left + 2 * dilation}`,
        classes: (r, c) =>
          (outside(r, c) ? "outside " : "") +
          (tap(r, top) && tap(c, left) ? "tap" : reached(r, top) && reached(c, left) ? "reached" : ""),
      });
      const terms = products(image, kernel[k], row, column, setting);
      const total = terms.flat().reduce((a, b) => a + b, 0);
      parts[k].draw(terms, { ...tint(terms), label: `products, channel ${k}: ${terms.flat().map(short).join(", ")}` });
      sums[k].textContent = `sum ${short(total)}`;
      return total;
    });
    output.mark(row, column);
    const answer = short(answers[row][column]);
    const terms = products(images[0], kernel[0], row, column, setting).flat();
    const pixels = terms.map((_, n) => images[0][top + Math.floor(n / SIDE) * dilation][left + (n % SIDE) * dilation]);
    const written = kernel[0].flat().map((weight, n) => `${short(pixels[n])}×${weight < 0 ? `(${short(weight)})` : short(weight)}`);
    const how = channels === 1 ? written.join(" + ") : totals.map(short).join(" + ").replaceAll("+ -", "− ");
    told.say(
      `Output at row ${row}, column ${column}: ${how} = ${answer}` +
        (channels === 1 ? "." : `, the sums of ${count(channels, "channel")}.`),
    );
  }

  const stack = element("div", { class: "lines" }, ...lines);
  const panels = element(
    "div",
    { class: "panels" },
    stack,
    element("span", { class: "sign" }, "→"),
    pane("output", output.root, shape),
  );
  update();
  return [
    element("div", { class: "controls" }, preset.root, ...Object.values(setters).map((one) => one.root), ...(state.image.length > 1 ? [amount.root] : []), walk.root, resetButton()),
    panels,
    element("p", { class: "sum" }, "Colors: orange for positive, purple for negative, white for 0. Grays: the lighter, the larger."),
    told.root,
  ];
}

mount("convolution", render);
