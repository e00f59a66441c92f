// Gradient descent on a long valley: its path and its loss.
import { chart } from "./chart.js";
import { count, element, mount, numberField, player, resetButton, short, status, svg } from "./common.js";
import { arrows, dots, note } from "./marks.js";
import { descend, fate, valley, verdict, visible } from "./valley.js";

const LEVELS = [0.5, 2, 5, 10, 20, 35];
const [SLOWEST, FASTEST] = [0.001, 1];
const SMALLEST_LOSS = 1e-8; // what is drawn: from here ...
const LARGEST_LOSS = 1e8; // ... to here

function render(state) {
  const { curvatures, extent } = state;
  const setting = {
    start: [...state.start],
    rate: state.rate,
    momentum: state.momentum,
    steps: state.steps,
    curvatures,
  };
  const told = status();
  let walk, plain; // with momentum, and for comparison without
  let now = 0; // the step that is shown
  let touched = false; // before anything is changed, there may still be something to predict

  // --- controls
  const refuse = (text) => told.refuse(text);
  const set = (name) => (to) => ((setting[name] = to), update());
  const limits = { label: "learning rate", min: SLOWEST, max: FASTEST, step: 0.01, whole: false };
  const rate = numberField({ ...limits, value: setting.rate, refuse, change: (to) => (slide(to), set("rate")(to)) });
  const slider = element("input", {
    type: "range",
    min: Math.log10(SLOWEST),
    max: Math.log10(FASTEST),
    step: 0.01,
    "aria-label": "learning rate on a log scale",
    oninput() {
      const to = Number((10 ** Number(slider.value)).toPrecision(2));
      rate.set(to);
      slider.setAttribute("aria-valuetext", short(to));
      set("rate")(to);
    },
  });
  function slide(to) {
    slider.value = Math.log10(to);
    slider.setAttribute("aria-valuetext", short(to));
  }
  slide(setting.rate);
  const others = [
    numberField({
      label: "momentum",
      value: setting.momentum,
      min: 0,
      max: 0.99,
      step: 0.05,
      whole: false,
      refuse,
      change: set("momentum"),
    }),
    numberField({ label: "steps", value: setting.steps, min: 1, max: 100, refuse, change: set("steps") }),
  ];
  const places = ["x", "y"].map((name, axis) =>
    numberField({
      label: `start ${name}`,
      value: setting.start[axis],
      min: -extent[axis],
      max: extent[axis],
      step: 0.1,
      whole: false,
      refuse,
      change: (to) => begin(setting.start.map((at, one) => (one === axis ? to : at))),
    }),
  );
  const steps = player({
    milliseconds: 300,
    toggled: (playing) => playing && now === setting.steps && show(0),
    step() {
      if (now === setting.steps) told.say(`Step ${now} was the last; Restart begins again at the start.`);
      else show(now + 1);
      return now < setting.steps;
    },
    restart: () => show(0),
  });

  // --- the valley
  const map = chart({
    title: "the valley from above: click where to start",
    label: "the valley from above, with the path",
    x: { from: -extent[0], to: extent[0], label: "x" },
    y: { from: -extent[1], to: extent[1], label: "y" },
    width: 462, // so that x and y have the same scale, and the steps leave the contours at right angles
    height: 356,
  });
  map.root.setAttribute("role", "group"); // a picture would hide the handle in it
  const center = map.at({ x: 0, y: 0 });
  const unit = map.at({ x: 1, y: 0 }).x - center.x;
  for (const level of LEVELS) {
    const [rx, ry] = curvatures.map((curvature) => Math.sqrt((2 * level) / curvature) * unit);
    map.area.append(svg("ellipse", { cx: center.x, cy: center.y, rx, ry, class: "contour" }));
    if (level > 1)
      map.area.append(svg("text", { x: center.x, y: center.y - ry - 2, class: "contour-text" }, short(level)));
  }
  map.area.append(svg("path", { d: `M${center.x - 5} ${center.y}h10m-5 -5v10`, class: "minimum" }));
  const drawn = svg("g");
  map.area.append(drawn);
  const handle = svg(
    "g",
    {
      tabindex: 0,
      role: "slider",
      "aria-roledescription": "2D slider",
      "aria-label": "start",
      "aria-valuemin": -extent[0],
      "aria-valuemax": extent[0],
      class: "handle",
      onkeydown: move,
      ontouchstart: (event) => event.preventDefault(), // no scrolling: within an SVG, Chromium has no touch-action
    },
    svg("circle", { r: 22, class: "reach" }),
    svg("circle", { r: 8 }),
  );
  map.root.append(handle);

  function move(event) {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!by) return;
    event.preventDefault();
    const to = setting.start.map((at, axis) => Number((at + by[axis] * (event.shiftKey ? 1 : 0.1)).toFixed(2)));
    const axis = to.findIndex((at, one) => Math.abs(at) > extent[one]);
    if (axis < 0) begin(to);
    else refuse(`The picture ends at ${"xy"[axis]} = ${extent[axis] * by[axis]}; the start stays.`);
  }
  function point(event) {
    const { x, y } = map.read(event);
    begin([x, y].map((at, axis) => Number(Math.min(Math.max(at, -extent[axis]), extent[axis]).toFixed(2))));
  }
  let held = null; // the finger or mouse that drags the start; a finger that scrolls is captured too, by the browser
  map.root.classList.add("pointed");
  map.root.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch" && !handle.contains(event.target)) return; // that may become scrolling
    event.preventDefault(); // no text is selected
    handle.focus({ preventScroll: true });
    map.root.setPointerCapture((held = event.pointerId));
    if (!handle.contains(event.target)) point(event);
  });
  map.root.addEventListener("pointermove", (event) => event.pointerId === held && point(event));
  map.root.addEventListener("lostpointercapture", () => (held = null));
  map.root.addEventListener("click", (event) => handle.contains(event.target) || event.detail === 0 || point(event));

  function begin(start) {
    setting.start = start;
    places.forEach((field, axis) => Number(field.input.value) === start[axis] || field.set(start[axis]));
    update();
  }

  // --- drawing
  const curve = element("div", { class: "fit" });
  const table = element("tbody");
  const legend = element("p", { class: "sum" });

  function update() {
    steps.pause();
    walk = descend(setting);
    plain = setting.momentum > 0 ? descend({ ...setting, momentum: 0 }) : null;
    now = Math.min(now, setting.steps);
    legend.textContent = plain
      ? `Solid: momentum ${short(setting.momentum)}. Dashed: the same learning rate without momentum.`
      : "The numbers in the valley are losses. With momentum, the path without it stays for comparison.";
    draw();
    told.say(summary() + (touched ? bound() : ""));
    touched = true;
  }

  function draw() {
    const places = (steps) => steps.map(({ place }) => place);
    const points = (steps) => visible(places(steps), extent).map(([x, y]) => ({ x, y }));
    const path = points(walk);
    drawn.replaceChildren(
      ...(plain ? [svg("path", { d: map.path(points(plain)), class: "ghost" })] : []),
      svg("path", { d: map.path(path), class: "path" }),
      svg("path", { d: map.path(path.slice(0, now + 1)), class: "path done" }),
      svg("path", { d: dots(path.map(map.at)), class: "dots" }),
      svg("path", { d: arrows(path.map(map.at)), class: "arrows" }),
      ...(now < path.length
        ? [svg("circle", { cx: map.at(path[now]).x, cy: map.at(path[now]).y, r: 6, class: "now" })]
        : []),
      ...note(map, "end", leaves() === null ? "" : `leaves the picture at step ${leaves()}`),
    );
    const at = map.at({ x: setting.start[0], y: setting.start[1] });
    handle.setAttribute("transform", `translate(${at.x} ${at.y})`);
    handle.setAttribute("aria-valuenow", setting.start[0]);
    handle.setAttribute("aria-valuetext", `x ${short(setting.start[0])}, y ${short(setting.start[1])}`);
    curve.replaceChildren(losses().root);
    table.replaceChildren(...["x", "y"].map(row));
  }

  function losses() {
    const heights = (steps) => steps.map(({ place }, x) => ({ x, y: valley(place, curvatures) }));
    const shown = heights(walk);
    const end = shown.at(-1).y;
    const all = [...shown, ...(plain ? heights(plain) : [])];
    const exponents = all.map(({ y }) => Math.log10(Math.min(Math.max(y, SMALLEST_LOSS), LARGEST_LOSS)));
    const plot = chart({
      title: "the loss after each step",
      label: `the loss after each step: from ${short(shown[0].y)} to ${short(end)}`,
      x: {
        from: 0,
        to: setting.steps,
        label: "step",
        ticks: setting.steps < 5 ? [...Array(setting.steps + 1).keys()] : null,
      },
      y: {
        from: 10 ** Math.min(Math.floor(Math.min(...exponents)), -1),
        to: 10 ** Math.max(Math.ceil(Math.max(...exponents)), 2),
        label: "loss",
        log: true,
      },
      width: 462,
      height: 356,
    });
    plot.area.append(
      ...(plain ? [svg("path", { d: plot.path(heights(plain)), class: "ghost" })] : []),
      svg("path", { d: plot.path(shown), class: "curve" }),
      svg("path", { d: dots(shown.map(plot.at)), class: "dots curve-dots" }),
      svg("circle", { cx: plot.at(shown[now]).x, cy: plot.at(shown[now]).y, r: 6, class: "now" }),
      ...note(plot, "start", end > LARGEST_LOSS ? `ends at ${short(end)}, above the picture` : ""),
    );
    return plot;
  }

  function row(name, axis) {
    const { rate, momentum } = setting;
    const { factor, swings } = fate(curvatures[axis], setting);
    const complex = swings && factor > 0;
    const how =
      momentum === 0
        ? `1 − ${short(rate)} × ${curvatures[axis]} = ${short(factor)}`
        : complex
          ? `√${short(momentum)} = ${short(factor)} in size, on average`
          : `${short(factor)} in the long run`;
    const texts = [curvatures[axis], how, verdict(setting.start[axis], { factor, swings })];
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, name),
      ...texts.map((text) => element("td", {}, String(text))),
    );
  }

  /** The first step that ends outside of the picture, or null. */
  function leaves() {
    const found = walk.findIndex(({ place }) => place.some((at, axis) => Math.abs(at) > extent[axis]));
    return found < 0 ? null : found;
  }

  function summary() {
    const [first, last] = [walk[0], walk.at(-1)].map(({ place }) => valley(place, curvatures));
    const change = last > first ? "grows" : last === first ? "goes" : "falls";
    const away = leaves() === null ? "" : `, and the path leaves the picture at step ${leaves()}`;
    const [x, y] = curvatures.map((curvature, axis) => verdict(setting.start[axis], fate(curvature, setting)));
    const all = x === y ? `Along x and y it ${x}.` : `Along x it ${x}; along y it ${y}.`;
    const steps = count(setting.steps, "step");
    return `The loss ${change} from ${short(first)} to ${short(last)} in ${steps}${away}. ${all}`;
  }

  function bound() {
    const { momentum } = setting;
    const steepest = Math.max(...curvatures);
    const value = short((2 * (1 + momentum)) / steepest);
    return ` A learning rate settles if it is below 2(1 + ${short(momentum)})/${steepest} = ${value}.`;
  }

  function show(step) {
    now = step;
    draw();
    const pair = (numbers) => `(${numbers.map(short).join(", ")})`;
    const { place, velocity } = walk[now];
    const loss = short(valley(place, curvatures));
    if (now === 0) return told.say(`Start: ${pair(place)}, loss ${loss}.`);
    const from = walk[now - 1];
    const gradient = from.place.map((at, axis) => curvatures[axis] * at);
    const moved = setting.momentum
      ? `velocity ${short(setting.momentum)} × ${pair(from.velocity)} + gradient ${pair(gradient)} = ${pair(velocity)}`
      : `the gradient is ${pair(gradient)}`;
    told.say(
      `Step ${now} of ${setting.steps}: ${moved}; ${pair(from.place)} − ${short(setting.rate)} × ` +
        `${pair(velocity)} = ${pair(place)}. Loss ${loss}.`,
    );
  }

  update();
  const heads = ["direction", "curvature", "each step multiplies it by", "so the path"];
  return [
    element(
      "div",
      { class: "controls" },
      element("span", { class: "line" }, rate.root, slider),
      ...[...others, ...places].map((one) => one.root),
      steps.root,
      resetButton(),
    ),
    element("div", { class: "panels" }, element("div", { class: "fit" }, map.root), curve),
    legend,
    element(
      "table",
      { class: "facts" },
      element("thead", {}, element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text)))),
      table,
    ),
    told.root,
  ];
}

mount("descent", render);
