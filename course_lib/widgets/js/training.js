// Two 3x3 filters learn to do what two kernels designed by hand do.
import { chart } from "./chart.js";
import {
  button,
  choice,
  count,
  element,
  legibleOn,
  lessMotion,
  mount,
  numberField,
  pane,
  player,
  resetButton,
  short,
  status,
  svg,
} from "./common.js";
import { distance, drawFilters, forward, largestCurvature, loss, train } from "./learning.js";
import { gray, paint, picture, signed } from "./pixels.js";

const EDITED = "edited";
const CLOSE = 0.01; // so near to the designed kernel, a filter has learned it
const LARGEST_LOSS = 1e6; // a larger one is given up
const SMALLEST_LOSS = 1e-6; // of the chart
const REACHES = [100, 1000, 10_000, 100_000].flatMap((one) => [one, 2 * one, 5 * one]); // of its steps

function render(state) {
  const { images } = state;
  const setting = { rate: state.rate, momentum: state.momentum };
  const designed = state.targets.map((index) => state.kernels[index].table.map((row) => [...row]));
  const told = status();
  const group = `images-${Math.random().toString(36).slice(2)}`;
  let [number, perFrame, shown, playing] = [state.seed, 1, 0, false];
  let targets = forward(images, designed);
  let start = drawFilters(number, designed.length);
  let filters, velocity, losses;
  let lost = null; // why training has been given up

  // --- controls
  const refuse = (text) => told.refuse(text);
  const set = (name) => (to) => {
    setting[name] = to;
    const { rate, momentum } = setting;
    const still = rate === 0 ? " With a learning rate of 0 no weight moves." : "";
    told.say(`From step ${losses.length - 1} on: learning rate ${short(rate)}, momentum ${short(momentum)}.${still}`);
  };
  const numbers = [
    ...[
      ["learning rate", "rate", 100],
      ["momentum", "momentum", 0.99],
    ].map(([label, name, max]) =>
      numberField({ label, value: setting[name], min: 0, max, step: 0.1, whole: false, refuse, change: set(name) }),
    ),
    numberField({
      label: "steps per frame",
      value: perFrame,
      min: 1,
      max: 10,
      refuse,
      change: (to) => ((perFrame = to), told.say(`Play makes ${count(to, "step")} per frame.`)),
    }),
  ];
  const seed = numberField({ label: "seed", value: number, min: 0, max: 9999, refuse, change: drawn });
  function drawn(to) {
    number = to;
    begin(drawFilters(number, designed.length), `Random start ${number}. `);
  }
  const another = button("Another start", () => {
    drawn((number + 1) % 10000);
    seed.set(number);
  });
  const walk = player({
    milliseconds: lessMotion() ? 1000 : 16,
    step: () => go(playing ? perFrame * (lessMotion() ? 60 : 1) : 1), // as many steps in a second
    restart: () => begin(start),
    toggled(begins) {
      playing = begins;
      // Sixty sentences in a second are not for the ear: one comes when it stops.
      told.root.setAttribute("aria-live", playing ? "off" : "polite");
      if (!playing) told.say(sentence("Stopped. "));
    },
  });

  // --- the filters
  const fields = (name, tables, change) =>
    tables.map((of, f) =>
      of.map((line, r) =>
        line.map((value, c) =>
          numberField({
            label: `${name} ${f}, weight ${r}, ${c}`,
            value: rounded(value),
            min: -9,
            max: 9,
            step: 0.1,
            whole: false,
            refuse,
            change: (to) => change(f, r, c, to),
          }),
        ),
      ),
    );
  const wanted = fields("designed kernel", designed, (f, r, c, to) => {
    designed[f][r][c] = to;
    presets[f].set(named(f));
    retarget();
  });
  const learned = fields("filter", start, (f, r, c, to) => {
    const typed = filters.map((of) => of.map((line) => [...line]));
    typed[f][r][c] = to;
    begin(typed, "A start of your own. ");
  });
  const presets = designed.map((_, f) =>
    choice({
      label: `designed kernel for filter ${f}`,
      options: [...state.kernels.map(({ name }) => [name, name]), [EDITED, EDITED]],
      value: named(f),
      change(name) {
        const found = state.kernels.find((one) => one.name === name);
        if (!found) return presets[f].set(named(f));
        designed[f] = found.table.map((row) => [...row]);
        retarget();
      },
    }),
  );
  function named(f) {
    return state.kernels.find((one) => JSON.stringify(one.table) === JSON.stringify(designed[f]))?.name ?? EDITED;
  }
  function retarget() {
    targets = forward(images, designed);
    drawTargets();
    begin(start, "A new target. ");
  }

  // --- pictures
  const photo = picture(150);
  const targetMaps = designed.map(() => picture(104));
  const maps = designed.map(() => picture(104));
  const thumbs = images.map((image, n) => {
    const small = picture(30);
    paint(small, image, gray);
    small.setAttribute("aria-hidden", true);
    return element(
      "label",
      { class: "thumb" },
      element("input", { type: "radio", name: group, "aria-label": `image ${n}`, onchange: () => look(n) }),
      small,
    );
  });
  thumbs[0].querySelector("input").checked = true;
  const photoTitle = element("p", { class: "panel-title" });
  const curve = element("div", { class: "fit", style: "flex-basis: 215px; max-width: 255px" });
  let plot = null;

  function look(n) {
    shown = n;
    drawTargets();
    draw();
    told.say(`Image ${n} is shown. ${sentence()}`);
  }
  function drawTargets() {
    photoTitle.textContent = `image ${shown} of 0 to ${images.length - 1}`;
    paint(photo, images[shown], gray, `image ${shown}`);
    designed.forEach((of, f) => {
      paint(targetMaps[f], targets[shown][f], signed(top(f)), `target map of filter ${f} for image ${shown}`);
      color(wanted[f], of, of);
    });
  }
  const top = (f) => Math.max(...targets[shown][f].flat().map(Math.abs), 1e-9);

  function draw() {
    const now = forward([images[shown]], filters)[0];
    filters.forEach((of, f) => {
      paint(maps[f], now[f], signed(top(f)), `map of filter ${f} for image ${shown}, at step ${losses.length - 1}`);
      color(learned[f], of, designed[f]);
    });
    drawLosses();
  }

  /** Numbers and colors of a table of fields; colors are strongest at the largest weight of `by`. */
  function color(table, values, by) {
    const tint = signed(Math.max(...by.flat().map(Math.abs), 1e-9));
    table.forEach((line, r) =>
      line.forEach((one, c) => {
        if (one.input !== document.activeElement) one.set(rounded(values[r][c]));
        const ground = tint(values[r][c]);
        one.input.style.background = `rgb(${ground.join(", ")})`;
        one.input.style.color = legibleOn(ground);
      }),
    );
  }

  function drawLosses() {
    const steps = losses.length - 1;
    const axes = {
      steps: REACHES.find((one) => one >= steps) ?? steps,
      top: Math.max(...losses.slice(-perFrame - 1), plot?.top ?? 0) > 10 ? LARGEST_LOSS : 10,
    };
    if (!plot || plot.steps !== axes.steps || plot.top !== axes.top) renew(axes);
    const points = [];
    for (let x = 0; x < steps; x += Math.ceil(losses.length / 300)) points.push({ x, y: losses[x] });
    points.push({ x: steps, y: last() });
    plot.line.setAttribute("d", plot.path(points));
    const end = plot.at(points.at(-1));
    plot.end.setAttribute("cx", end.x);
    plot.end.setAttribute("cy", end.y);
  }
  function renew({ steps, top }) {
    const y = {
      from: SMALLEST_LOSS,
      to: top,
      label: "loss",
      log: true,
      ticks: top > 10 ? null : [10, 0.1, 1e-3, 1e-5],
    };
    const x = { from: 0, to: steps, label: "step" };
    const label = "the loss after each step";
    plot = { ...chart({ title: "loss: mean squared difference", label, x, y, width: 270, height: 270 }), steps, top };
    plot.line = svg("path", { class: "curve" });
    plot.end = svg("circle", { r: 4, class: "now" });
    plot.area.append(plot.line, plot.end);
    curve.replaceChildren(plot.root);
  }

  // --- training
  function begin(from, why = "") {
    walk.pause();
    start = filters = from;
    plot = null;
    velocity = undefined;
    lost = null;
    losses = [loss(forward(images, filters), targets)];
    draw();
    told.say(sentence(why));
  }
  const last = () => losses.at(-1);
  const distances = () => filters.map((of, f) => distance(of, designed[f]));

  function go(steps) {
    if (lost) return (told.refuse("The loss is too large to go on from here; Restart begins again at step 0."), false);
    let more = true;
    for (let n = 0; n < steps && more; n += 1) {
      const done = train(images, targets, { filters, velocity }, setting, 1);
      ({ filters, velocity } = done);
      losses.push(...done.losses);
      if (last() > LARGEST_LOSS) lost = `the loss has grown to ${short(last())}${advice()}`;
      more = !lost && Math.max(...distances()) > CLOSE;
    }
    draw();
    told.say(sentence());
    return more;
  }
  function advice() {
    const { rate, momentum } = setting;
    const curvature = largestCurvature(images, filters);
    const bound = (2 * (1 + momentum)) / curvature;
    if (rate < bound) return "; Restart begins again.";
    return (
      `: the learning rate ${short(rate)} is too large. Below 2(1 + ${short(momentum)})/${short(curvature)} = ` +
      `${short(bound)} it settles; ${short(curvature)} is the largest curvature of this loss. ` +
      "Choose a smaller one, then Restart."
    );
  }

  function sentence(before = "") {
    const at = `${before}Step ${losses.length - 1}`;
    if (lost) return `${at}: ${lost}`;
    if (Math.max(...distances()) <= CLOSE) {
      return `${at}: learned. No weight is more than ${CLOSE} from the designed kernels; the loss is ${short(last())}.`;
    }
    const each = distances().map((far, f) => `${short(far)} in filter ${f} (${named(f)})`);
    return `${at}: loss ${short(last())}. Largest difference from the designed kernel: ${each.join(", ")}.`;
  }

  const lines = designed.map((_, f) =>
    element(
      "div",
      { class: "line lesson" },
      pane(
        element("label", {}, "designed kernel", presets[f].list),
        element("div", { class: "weights designed" }, ...wanted[f].flat().map((one) => one.input)),
      ),
      pane(
        `filter ${f}`,
        element("div", { class: "weights", onfocusin: walk.pause }, ...learned[f].flat().map((one) => one.input)),
      ),
      pane("target map", targetMaps[f]),
      pane(`map of filter ${f}`, maps[f]),
    ),
  );
  drawTargets();
  begin(start);
  return [
    element(
      "div",
      { class: "controls" },
      ...numbers.map((one) => one.root),
      seed.root,
      another,
      walk.root,
      resetButton(),
    ),
    element(
      "div",
      { class: "panels" },
      element(
        "div",
        { class: "pane" },
        photoTitle,
        photo,
        element("div", { class: "thumbs", role: "radiogroup", "aria-label": "image shown" }, ...thumbs),
      ),
      element(
        "div",
        { class: "lines" },
        ...lines,
        element("p", { class: "sum" }, "Orange: positive. Purple: negative. White: 0."),
      ),
      curve,
    ),
    told.root,
  ];
}

/** A weight as it is shown: moving numbers with more digits cannot be read. */
function rounded(weight) {
  return Number(Math.abs(weight) < 10 ? weight.toFixed(2) : weight.toPrecision(3));
}

mount("training", render);
