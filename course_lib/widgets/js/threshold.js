// A threshold on probabilities: which answers change, where its point lies on the ROC curve, and what the errors cost.
import { button, element, mount, numberField, resetButton, short, status, svg } from "./common.js";
import { chart } from "./chart.js";
import { auc, cheapest, cost, cutAt, matrices, rates, simplest } from "./scores.js";
import { dragged, draggedAcross, keys, moveTo, slider, within } from "./sliders.js";

const GROUPS = ["healthy", "sick"];
const BINS = 40;
const WIDTH = 470;
const whole = (number) => number.toLocaleString("en-US");
const errors = ([[, fp], [fn]]) => ({
  misses: `${whole(fn)} ${fn === 1 ? "miss" : "misses"}`,
  alarms: `${whole(fp)} false alarm${fp === 1 ? "" : "s"}`,
});

function render(state) {
  const { scores } = state;
  const all = matrices(scores);
  const [[, numHealthy], [, numSick]] = all[0];
  const reachable = all.filter((_, cut) => simplest(scores, cut) !== null);
  const prices = { miss: state.miss, alarm: state.alarm };
  const told = status();
  let { threshold } = state;
  let least;

  const field = numberField({
    label: "threshold",
    value: threshold,
    min: 0,
    max: 1,
    step: 0.01,
    whole: false,
    refuse: told.refuse,
    change(to) {
      if (to === Number(to.toFixed(scores.decimals))) return (threshold = to), draw();
      field.set(threshold);
      const expected = `at most ${scores.decimals} decimals are expected here`;
      told.refuse(`threshold: ${expected}, but ${to} was typed; ${threshold} stays.`);
    },
  });
  const priced = Object.entries({ miss: "cost of a miss", alarm: "cost of a false alarm" }).map(([name, label]) => {
    const change = (to) => setPrice(name, to);
    return numberField({ label, value: prices[name], min: 0, max: 1000, refuse: told.refuse, change });
  });
  const toCheapest = button("Go to the cheapest", () => go(least.threshold));
  const go = (to) => (field.set((threshold = to)), draw());
  const goToCut = (cut) => go(simplest(scores, Math.min(Math.max(cut, 0), reachable.length - 1)));
  const drawn = [
    histogram(scores, go),
    rocCurve(scores, reachable, goToCut),
    costCurve(scores, reachable, go),
    matrixTable(),
  ];
  const [bars, roc, costs, table] = drawn;

  function setPrice(name, to) {
    prices[name] = to;
    least = cheapest(scores, prices);
    costs.scale(prices, least);
    draw();
  }
  function draw() {
    const cut = cutAt(scores, threshold);
    const matrix = all[cut];
    const [[tn, fp], [fn, tp]] = matrix;
    const total = cost(matrix, prices);
    const [sensitivity, specificity] = [short(tp / numSick), short(tn / numHealthy)];
    const found = `sensitivity ${sensitivity}, specificity ${specificity}`;
    drawn.forEach((part) => part.draw({ threshold, cut, matrix, total, found }));
    const { misses, alarms } = errors(matrix);
    told.say(
      `Threshold ${threshold}: of ${whole(numSick)} sick, ${whole(tp)} are predicted sick ` +
        `(sensitivity ${sensitivity}); ` +
        `of ${whole(numHealthy)} healthy, ${whole(tn)} are predicted healthy (specificity ${specificity}). ` +
        `${misses} at ${whole(prices.miss)} and ${alarms} at ${whole(prices.alarm)} cost ${whole(total)}; ` +
        (total === least.cost
          ? "no threshold costs less."
          : `the cheapest threshold, ${least.threshold}, costs ${whole(least.cost)}.`),
    );
  }

  setPrice("miss", prices.miss);
  const controls = [field.root, ...priced.map((one) => one.root), toCheapest, resetButton()];
  return [
    element("div", { class: "controls" }, ...controls),
    element(
      "div",
      { class: "panels threshold" },
      element("div", {}, bars.root, costs.root),
      element("div", {}, roc.root, table.root),
    ),
    ...(state.note ? [element("p", { class: "sum" }, state.note)] : []),
    told.root,
  ];
}

/** The healthy upward, the sick downward; hatched is what is predicted wrongly. The threshold is dragged. */
function histogram({ values, ...counts }, go) {
  const bins = GROUPS.map((group) => {
    const bin = Array(BINS).fill(0);
    values.forEach((value, k) => (bin[Math.min(Math.floor(value * BINS), BINS - 1)] += counts[group][k]));
    return bin;
  });
  const highest = bins.map((of) => Math.max(...of));
  const room = 0.25 * Math.max(...highest); // for the texts in the corners
  const plot = chart({
    title: "How many have which predicted probability",
    label: "histogram, the healthy upward and the sick downward",
    x: { from: 0, to: 1, label: "predicted probability of sick" },
    y: { from: -highest[1] - room, to: highest[0] + room, label: "" },
    width: WIDTH,
    height: 235,
  });
  for (const text of plot.root.querySelectorAll("text")) {
    text.textContent = text.textContent.replace(/^-/, ""); // a number of the sick, who are drawn downward
  }
  const y = (count) => plot.at({ x: 0, y: count }).y;
  const [top, axis, bottom] = [y(highest[0] + room), y(0), y(-highest[1] - room)];
  const x = (value) => plot.at({ x: value, y: 0 }).x;
  const sides = GROUPS.map((group, k) => {
    const middle = (axis + (k ? bottom : top)) / 2;
    const turned = `rotate(-90 11 ${middle})`;
    return svg("text", { x: 11, y: middle, transform: turned, "text-anchor": "middle", class: "chart-text" }, group);
  });
  const hatches = GROUPS.map(hatch);
  const bars = bins.flatMap((of, group) =>
    of.flatMap((count, bin) => {
      if (!count) return [];
      const height = Math.max(axis - y(count), 2); // one is seen beside a thousand
      const frame = { y: group ? axis : axis - height, height, class: `bar ${GROUPS[group]}` };
      const bar = (fill) => svg("rect", { ...frame, fill });
      const fills = ["currentColor", `url(#${hatches[group].id})`];
      const [left, right] = (group ? fills.reverse() : fills).map(bar);
      return [{ from: bin / BINS, to: (bin + 1) / BINS, left, right }];
    }),
  );
  const corners = [top + 16, bottom - 8].flatMap((height) =>
    [[0.02, "start"], [0.98, "end"]].map(([at, anchor]) =>
      svg("text", { x: x(at), y: height, "text-anchor": anchor, class: "chart-text corner" }),
    ),
  );
  const steps = keys({ arrow: 0.01, page: 0.1, all: 1 });
  const by = (step) => go(within(Number((now + step).toPrecision(12))));
  const thumb = slider("threshold", { min: 0, max: 1, steps, move: by });
  let now;
  thumb.append(
    svg("line", { y1: top, y2: bottom, class: "threshold-line" }),
    svg("rect", { x: -7, y: axis - 13, width: 14, height: 26, rx: 5, class: "grip" }),
    svg("path", { d: `M-2.5 ${axis - 6}v12M2.5 ${axis - 6}v12`, class: "grip-mark" }),
  );
  plot.area.append(
    ...bars.flatMap(({ left, right }) => [left, right]),
    svg("path", { d: `M${x(0)} ${axis}H${x(1)}`, class: "curve faint" }),
  );
  plot.root.append(svg("defs", {}, ...hatches.map(({ pattern }) => pattern)), ...sides, ...corners, thumb);
  plot.root.setAttribute("role", "group"); // of a slider, not a mere picture
  draggedAcross(plot, (to) => (go(to), thumb.focus({ preventScroll: true })));

  const span = (bar, from, to) => {
    bar.setAttribute("x", x(from));
    bar.setAttribute("width", Math.max(x(to) - x(from) - 0.7, 0));
  };
  return {
    root: plot.root,
    draw({ threshold, matrix, found }) {
      now = threshold;
      for (const { from, to, left, right } of bars) {
        const middle = Math.min(Math.max(threshold, from), to);
        span(left, from, middle);
        span(right, middle, to);
      }
      const [[tn], [, tp]] = matrix;
      const { alarms, misses } = errors(matrix);
      const texts = [`${whole(tn)} correct`, alarms, misses, `${whole(tp)} correct`];
      texts.forEach((text, k) => (corners[k].textContent = text));
      moveTo(thumb, { x: x(threshold), y: 0 });
      thumb.setAttribute("aria-valuenow", threshold);
      thumb.setAttribute("aria-valuetext", `${threshold}: ${found}`);
    },
  };
}

/** The point of the threshold moves along the curve, from cut to cut. */
function rocCurve(scores, reachable, goToCut) {
  const points = matrices(scores).map(rates);
  const plot = chart({
    title: `ROC curve, AUC ${short(auc(scores))}`,
    label: "ROC curve",
    x: { from: 0, to: 1, label: "false positive rate (1 − specificity)" },
    y: { from: 0, to: 1, label: "sensitivity" },
    width: 340,
    height: 240,
  });
  const steps = keys({ arrow: 1, page: Math.max(Math.round(points.length / 10), 1), all: points.length });
  const [[, healthy], [, sick]] = reachable[0];
  let now;
  const label = "number predicted sick, along the ROC curve";
  const dot = slider(label, { min: 0, max: healthy + sick, steps, move: (by) => goToCut(now - by) });
  dot.append(svg("circle", { r: 16, class: "reach" }), svg("circle", { r: 7, class: "grip" }));
  plot.area.append(
    svg("path", { d: plot.path([{ x: 0, y: 0 }, { x: 1, y: 1 }]), class: "curve faint dashed" }),
    svg("path", { d: plot.path(points), class: "curve" }),
  );
  plot.root.append(dot);
  plot.root.setAttribute("role", "group");
  const along = (event) => {
    const to = plot.read(event);
    const far = points.slice(0, reachable.length).map(({ x, y }) => (x - to.x) ** 2 + (y - to.y) ** 2);
    goToCut(far.indexOf(Math.min(...far)));
    dot.focus({ preventScroll: true });
  };
  dragged(dot, along);
  // On a part of an SVG, browsers do not heed touch-action.
  dot.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
  plot.root.addEventListener("click", along);
  return {
    root: plot.root,
    draw({ cut, matrix: [[, fp], [, tp]], found }) {
      now = cut;
      moveTo(dot, plot.at(points[cut]));
      dot.setAttribute("aria-valuenow", fp + tp);
      dot.setAttribute("aria-valuetext", `${whole(fp + tp)}: ${found}`);
    },
  };
}

/** What the errors cost at each threshold; it is drawn anew for other prices. */
function costCurve({ values }, reachable, go) {
  const root = element("div", {});
  let plot, line, dot;
  return {
    root,
    scale(prices, least) {
      const steps = reachable.map((matrix) => cost(matrix, prices));
      const top = 1.15 * Math.max(...steps) || 1;
      plot = chart({
        title: "Cost of the errors at each threshold",
        label: `cost at each threshold, from ${whole(least.cost)} to ${whole(Math.max(...steps))}`,
        x: { from: 0, to: 1, label: "threshold" },
        y: { from: 0, to: top, label: "cost" },
        width: WIDTH,
        height: 150,
      });
      const path = steps.flatMap((y, k) => [{ x: k ? values[k - 1] : 0, y }, { x: values[k] ?? 1, y }]);
      const best = plot.at({ x: least.threshold, y: least.cost });
      const [beside, anchor] = least.threshold > 0.8 ? [-11, "end"] : [11, "start"];
      const note = { x: best.x + beside, y: best.y - 7, "text-anchor": anchor, class: "chart-text corner" };
      const [bottom, ceiling] = [plot.at({ x: 0, y: 0 }).y, plot.at({ x: 0, y: top }).y];
      line = svg("line", { y1: bottom, y2: ceiling, class: "threshold-line" });
      dot = svg("circle", { r: 6, class: "grip" });
      plot.area.append(
        svg("path", { d: plot.path(path), class: "curve" }),
        svg("path", { d: `M${best.x} ${best.y - 4}l7 -13h-14z`, class: "best" }),
        svg("text", note, "cheapest"),
        line,
        dot,
      );
      draggedAcross(plot, go);
      root.replaceChildren(plot.root);
    },
    draw({ threshold, total }) {
      const at = plot.at({ x: threshold, y: total });
      moveTo(line, { x: at.x, y: 0 });
      moveTo(dot, at);
    },
  };
}

function matrixTable() {
  const names = [
    ["true negatives", "false positives: false alarms"],
    ["false negatives: misses", "true positives"],
  ];
  const numbers = names.map((line) => line.map(() => element("b", {})));
  const heading = (text, scope) => element("th", { scope }, text);
  const lines = names.map((line, row) => {
    const cells = line.map((name, column) => element("td", {}, numbers[row][column], element("span", {}, name)));
    return element("tr", {}, heading(GROUPS[row], "row"), ...cells);
  });
  const predicted = GROUPS.map((group) => heading(`predicted ${group}`, "col"));
  const root = element(
    "table",
    { class: "matrix" },
    element("caption", {}, "Confusion matrix"),
    element("thead", {}, element("tr", {}, element("td", {}), ...predicted)),
    element("tbody", {}, ...lines),
  );
  return {
    root,
    draw({ matrix }) {
      matrix.forEach((line, row) =>
        line.forEach((count, column) => {
          const number = numbers[row][column];
          number.textContent = whole(count);
          number.parentElement.style.setProperty("--share", `${(60 * count) / (line[0] + line[1])}%`);
        }),
      );
    },
  };
}

/** Slanted lines in the color of a group. */
function hatch(group) {
  const id = `hatch-${Math.random().toString(36).slice(2)}`;
  const lines = svg("path", { d: "M-1 1l2 -2M0 5l5 -5M4 6l2 -2", class: `bar ${group}`, stroke: "currentColor" });
  return { id, pattern: svg("pattern", { id, width: 5, height: 5, patternUnits: "userSpaceOnUse" }, lines) };
}

mount("threshold", render);
