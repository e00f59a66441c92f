// Pooling of an image that can be moved, window by window, and dropout on what is left.
import { chart } from "./chart.js";
import { button, choice, count, element, mount, numberField, numberGrid, resetButton, short, status, svg } from "./common.js";
import { covered, dropped, kept, mean, means, moved, pool, winner } from "./pools.js";

const DRAWS = 1000;
const BINS = 24;

function render(state) {
  const [height, width] = [state.image.length, state.image[0].length];
  const setting = { kind: "max", window: 2, right: 0, down: 0, p: 0.5, mode: "training", draw: 0 };
  const place = { row: 1, column: 1 }; // the chosen output
  const told = status();
  let image, pooled, unmoved; // lists of rows
  let values, mask, after, averages; // flat: the pooled numbers, which are kept, what they become; the mean in each draw

  // --- controls
  const change = (name, say) => (to) => ((setting[name] = to), update(), say());
  const field = (name, label, min, max, say, more = {}) =>
    numberField({ label, value: setting[name], min, max, refuse: told.refuse, change: change(name, say), ...more });
  const pick = (name, label, names, say) =>
    choice({ label, options: names.map((one) => [one, one]), value: setting[name], change: change(name, say) });
  const shifts = {
    right: field("right", "moved right", 1 - width, width - 1, sayPooling),
    down: field("down", "moved down", 1 - height, height - 1, sayPooling),
  };
  const again = button("Another draw", () => ((setting.draw = (setting.draw + 1) % DRAWS), update(), sayDropout()));

  // --- drawing
  const grids = {
    image: numberGrid({ label: "image" }),
    pooled: numberGrid({ label: "pooled", choose }),
    after: numberGrid({ label: "after dropout" }),
  };
  const titles = { pooled: text("panel-title"), after: text("panel-title") };
  const notes = { pooled: text("sum"), after: text("sum"), draws: text("sum") };
  const histogram = element("div", {});
  const draws = element("div", { class: "draws" }, histogram, notes.draws);
  makeMovable(grids.image.root);

  function update() {
    const { kind, window, p, mode, draw } = setting;
    const training = mode === "training";
    image = moved(state.image, setting.right, setting.down);
    pooled = pool(image, kind, window);
    unmoved = pool(state.image, kind, window);
    values = pooled.flat();
    mask = values.map(() => true);
    if (training) mask = kept(draw, values.length, p);
    after = training ? dropped(values, mask, p) : values;
    averages = training ? means(values, p, DRAWS) : [];
    place.row = Math.min(place.row, pooled.length - 1);
    place.column = Math.min(place.column, pooled[0].length - 1);
    titles.pooled.textContent = `${kind} of ${window}×${window}`;
    titles.after.textContent = training ? `after dropout, draw ${draw}` : "dropout in evaluation";
    notes.pooled.textContent = `${pooled.length}×${pooled[0].length} numbers; ${changes()} changed by moving (◥)`;
    const lost = mask.filter((one) => !one).length;
    notes.after.textContent = `${lost} dropped (struck out); mean ${short(mean(values))} before, ${short(mean(after))} after`;
    draws.hidden = !training;
    if (training) drawHistogram(mean(values), mean(after));
    drawCells();
  }
  function drawCells() {
    const { kind, window } = setting;
    const [rows, columns] = [pooled.length, pooled[0].length];
    const [low, high] = [Math.min(...state.image.flat()), Math.max(...state.image.flat())];
    const taken = winner(chosenWindow());
    const pixel = (r, c) => {
      if (r >= rows * window || c >= columns * window) return "outside";
      if (Math.floor(r / window) !== place.row || Math.floor(c / window) !== place.column) return "";
      return kind === "max" && r === taken.row && c === taken.column ? "tap winner" : "reached";
    };
    grids.image.draw(image, { label: "image", classes: pixel });
    grids.image.root.setAttribute("aria-valuenow", setting.right);
    grids.image.root.setAttribute("aria-valuetext", shift());
    const differs = (r, c) => (pooled[r][c] === unmoved[r][c] ? "" : "changed");
    grids.pooled.draw(pooled, { low, high, classes: differs });
    grids.pooled.mark(place.row, place.column);
    const lines = pooled.map((_, row) => after.slice(row * columns, (row + 1) * columns));
    const fate = (r, c) =>
      (mask[r * columns + c] ? "" : "dropped ") + (r === place.row && c === place.column ? "tap" : "");
    const factor = setting.mode === "training" && setting.p < 1 ? 1 / (1 - setting.p) : 1;
    grids.after.draw(lines, {
      low: Math.min(low * factor, 0), // grays that stay from draw to draw
      high: Math.max(high * factor, 0),
      label: `after dropout: ${after.map(short).join(", ")}`,
      classes: fate,
    });
    for (const grid of [grids.pooled, grids.after]) grid.root.style.setProperty("--cell", columns > 5 ? "32px" : "42px");
    grids.image.root.style.setProperty("--cell", `${Math.min(27, Math.floor(340 / width))}px`);
  }
  function chosenWindow() {
    return covered(image, setting.window, place.row, place.column);
  }
  function changes() {
    return pooled.flat().filter((value, n) => value !== unmoved.flat()[n]).length;
  }

  /** How often which mean came out of the draws. */
  function drawHistogram(before, now) {
    const [low, high] = [Math.min(before, ...averages), Math.max(before, ...averages)];
    const room = (high - low) / 20 || 1;
    const [from, to] = [low - room, high + room];
    const counts = Array(BINS).fill(0);
    for (const one of averages) counts[Math.floor(((one - from) / (to - from)) * BINS)] += 1;
    const top = 1.1 * Math.max(...counts);
    const overall = short(mean(averages));
    const plot = chart({
      title: "mean in each of 1,000 draws",
      label: `histogram of the mean after dropout in 1,000 draws: from ${short(low)} to ${short(high)}, on average ${overall}`,
      x: { from, to, label: "mean after dropout" },
      y: { from: 0, to: top, label: "draws" },
      width: 260,
      height: 220,
    });
    const edge = (n) => from + (n / BINS) * (to - from);
    counts.forEach((number, n) => {
      const [start, end] = [plot.at({ x: edge(n), y: number }), plot.at({ x: edge(n + 1), y: 0 })];
      plot.area.append(svg("rect", { x: start.x, y: start.y, width: end.x - start.x, height: end.y - start.y, class: "bars" }));
    });
    const line = (x, kind) => plot.area.append(svg("path", { d: plot.path([{ x, y: 0 }, { x, y: top }]), class: kind }));
    line(before, "before");
    line(now, "now");
    histogram.replaceChildren(plot.root);
    notes.draws.textContent = `solid: ${short(before)} before; dashed: ${short(now)} in this draw; mean of all draws ${overall}`;
  }

  // --- the image follows a finger or a pressed mouse, and the arrow keys
  function makeMovable(root) {
    const slider = { role: "slider", tabindex: 0, "aria-valuemin": 1 - width, "aria-valuemax": width - 1 };
    for (const [name, value] of Object.entries(slider)) root.setAttribute(name, value);
    root.classList.add("draggable");
    root.addEventListener("keydown", steer);
    let from;
    root.addEventListener("pointerdown", (event) => {
      root.setPointerCapture(event.pointerId);
      from = { x: event.clientX, y: event.clientY, right: setting.right, down: setting.down };
    });
    root.addEventListener("pointermove", (event) => {
      if (!root.hasPointerCapture(event.pointerId)) return;
      const box = root.getBoundingClientRect();
      const right = from.right + Math.round(((event.clientX - from.x) / box.width) * width);
      const down = from.down + Math.round(((event.clientY - from.y) / box.height) * height);
      move(Math.min(Math.max(right, 1 - width), width - 1), Math.min(Math.max(down, 1 - height), height - 1));
    });
  }
  function steer(event) {
    const by = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    if (!by) return;
    event.preventDefault();
    const [right, down] = [setting.right + by[0], setting.down + by[1]];
    if (Math.abs(right) < width && Math.abs(down) < height) return move(right, down);
    told.refuse(`The image is ${by[0] ? `${width} pixels wide` : `${height} pixels high`}; that is as far as it moves.`);
  }
  function move(right, down) {
    if (right === setting.right && down === setting.down) return;
    Object.assign(setting, { right, down });
    shifts.right.set(right);
    shifts.down.set(down);
    update();
    sayPooling();
  }

  // --- sentences
  function choose(row, column) {
    if (place.row === row && place.column === column) return;
    Object.assign(place, { row, column });
    drawCells();
    const { kind, window } = setting;
    const cells = chosenWindow();
    const range = (at, noun) => `${noun}s ${at * window} to ${(at + 1) * window - 1}`;
    const where = `${range(row, "row")} and ${range(column, "column")}`;
    const [value, was] = [pooled[row][column], unmoved[row][column]];
    const taken = winner(cells);
    const sum = cells.map((one) => (one.value < 0 ? `(${short(one.value)})` : short(one.value))).join(" + ");
    const how =
      kind === "max"
        ? `the largest number in ${where} is ${short(value)}, at row ${taken.row}, column ${taken.column}`
        : `${where}: (${sum})/${cells.length} = ${short(value)}`;
    const before = value === was ? "" : `; it was ${short(was)} before the image was moved`;
    const n = row * pooled[0].length + column;
    const then = mask[n] ? `After dropout it is ${short(after[n])}` : "Dropout makes it 0";
    told.say(`Output at row ${row}, column ${column}: ${how}${before}. ${then}.`);
  }
  function shift() {
    const { right, down } = setting;
    const parts = [];
    if (right) parts.push(`${Math.abs(right)} to the ${right > 0 ? "right" : "left"}`);
    if (down) parts.push(`${Math.abs(down)} ${down > 0 ? "down" : "up"}`);
    return parts.length ? `moved ${parts.join(" and ")}` : "not moved";
  }
  function sayPooling() {
    const { kind, window } = setting;
    const over = [[height % window, "row"], [width % window, "column"]].filter(([number]) => number);
    const rest = over.map(([number, noun]) => count(number, noun)).join(" and ");
    const unused = rest ? ` The last ${rest} of the image fill no window and are left out.` : "";
    told.say(
      `The image is ${shift()}; ${kind} of ${window}×${window}: ${changes()} of ${values.length} pooled numbers changed ` +
        `by moving.${unused}`,
    );
  }
  function sayDropout() {
    const { p, mode, draw } = setting;
    const [before, now] = [short(mean(values)), short(mean(after))];
    if (mode === "evaluation") return told.say(`In evaluation mode dropout changes nothing: the mean stays ${before}.`);
    if (p === 1) return told.say("p = 1 drops everything: torch gives zeros, as nothing is left to be multiplied.");
    const number = mask.filter(Boolean).length;
    const factor = `1/(1 − ${p}) = ${short(1 / (1 - p))}`;
    told.say(
      `Draw ${draw}: ${number} of ${values.length} numbers are kept and multiplied by ${factor}. The mean was ${before} ` +
        `and is ${now}; over 1,000 draws it is ${short(mean(averages))} on average.`,
    );
  }

  update();
  sayDropout();
  const controls = (...parts) => element("div", { class: "controls" }, ...parts.map((one) => one.root ?? one));
  const panel = (...parts) => element("div", { class: "pane" }, ...parts);
  const next = (...parts) =>
    element("div", { class: "next" }, element("span", { class: "sign", "aria-hidden": "true" }, "→"), panel(...parts));
  return [
    controls(
      pick("kind", "pooling", ["max", "mean"], sayPooling),
      field("window", "window", 2, 4, sayPooling),
      ...Object.values(shifts),
    ),
    controls(
      field("p", "dropout p", 0, 1, sayDropout, { whole: false, step: 0.1 }),
      pick("mode", "mode", ["training", "evaluation"], sayDropout),
      again,
      resetButton(),
    ),
    element(
      "div",
      { class: "panels pooling" },
      panel(text("panel-title", "image: drag it, or arrow keys"), grids.image.root),
      next(titles.pooled, grids.pooled.root, notes.pooled),
      next(titles.after, grids.after.root, notes.after),
      draws,
    ),
    told.root,
  ];
}

function text(name, words = "") {
  return element("p", { class: name }, words);
}

mount("pooling", render);
