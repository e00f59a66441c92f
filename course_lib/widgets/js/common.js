// What all explorers share: elements, controls that refuse what is out of range in words, grids of cells, mounting.

/** An HTML element. Attributes named on... are listeners, a null one is left out; children are elements or texts. */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element, likewise. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** A number as people write it: four significant digits, no trailing zeros. */
export function short(number) {
  const size = Math.abs(number);
  if (size !== 0 && (size < 1e-4 || size >= 1e6)) return number.toExponential(2).replace(/\.?0+e/, "e");
  return String(Number(number.toPrecision(4)));
}

/** Whether the reader has asked for less motion: what plays then moves in few steps. */
export function lessMotion() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** "1 pixel", "2 pixels". */
export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** The sentence below an explorer, which screen readers speak when it changes. */
export function status() {
  const root = element("p", { role: "status", class: "said" });
  let told = null;
  const show = (text, refused) => {
    if (text !== told) root.textContent = told = text;
    root.classList.toggle("refused", refused);
  };
  return { root, say: (text) => show(text, false), refuse: (text) => show(text, true) };
}

/**
 * A field for a number between two others.
 *
 * @param change is called with each number that is allowed.
 * @param refuse is called with a sentence for what is not: the last allowed number stays in force.
 */
export function numberField({ label, value, min = -Infinity, max = Infinity, step = 1, whole = true, change, refuse }) {
  const input = element("input", {
    type: "number",
    value,
    step: whole ? step : "any",
    min: Number.isFinite(min) ? min : null,
    max: Number.isFinite(max) ? max : null,
    "aria-label": label,
    oninput: read,
    onblur: () => fits(Number(input.value)) || set(value), // a refused text goes when it is left
    onkeydown: (event) => whole || arrows(event),
  });

  function arrows(event) {
    const up = { ArrowUp: step, ArrowDown: -step }[event.key];
    if (!up) return;
    event.preventDefault(); // with step="any" the browser itself would count by one
    const next = Number((value + up).toPrecision(12));
    if (fits(next)) set(next), change(next);
  }
  function fits(number) {
    return input.value !== "" && number >= min && number <= max && !(whole && !Number.isInteger(number));
  }
  function read() {
    if (input.value === "") return; // emptied, or a sign on its way to a number: leaving it brings the last one back
    const number = Number(input.value);
    input.setAttribute("aria-invalid", !fits(number));
    if (fits(number)) change((value = number));
    else refuse(`${label}: ${kind()} is expected, but "${input.value}" was typed; ${short(value)} stays.`);
  }
  function kind() {
    const noun = whole ? "a whole number" : "a number";
    if (!Number.isFinite(min)) return noun;
    return Number.isFinite(max) ? `${noun} from ${short(min)} to ${short(max)}` : `${noun} of at least ${short(min)}`;
  }
  function set(number) {
    input.value = value = number;
    input.setAttribute("aria-invalid", false);
  }
  return { root: element("label", {}, element("span", {}, label), input), input, set };
}

/** A list to pick one value from; options are pairs [text, value]. */
export function choice({ label, options, value, change }) {
  const list = element(
    "select",
    { "aria-label": label, onchange: () => change(options[list.selectedIndex][1]) },
    ...options.map(([text]) => element("option", {}, text)),
  );
  const set = (wanted) => (list.selectedIndex = options.findIndex(([, one]) => one === wanted));
  set(value);
  return { root: element("label", {}, element("span", {}, label), list), list, set };
}

export function button(text, click) {
  return element("button", { type: "button", onclick: click }, text);
}

/** Parts below a small title of their own. */
export function pane(title, ...parts) {
  return element("div", { class: "pane" }, element("div", { class: "panel-title" }, title), ...parts);
}

/**
 * Buttons that walk through something: play or pause, one step, and from the beginning.
 *
 * @param step goes one on and says whether there is more to come.
 * @param toggled is told when playing begins (true) and when it ends (false).
 */
export function player({ step, restart, milliseconds = 500, toggled = () => {} }) {
  let timer = null;
  const play = button("Play", () => (timer ? pause() : start()));
  const root = element(
    "span",
    { class: "player", role: "group", "aria-label": "Animation" },
    play,
    button("Step", () => (pause(), step())),
    button("Restart", () => (pause(), restart())),
  );
  function start() {
    toggled(true);
    timer = setInterval(() => (root.isConnected && step()) || pause(), milliseconds);
    play.textContent = "Pause";
  }
  function pause() {
    if (!timer) return;
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    toggled(false);
  }
  return { root, pause };
}

/** Black or white, whichever is easier to read on a color: by the "relative luminance" of the W3C's guidelines. */
export function legibleOn(color) {
  const [red, green, blue] = color.map((part) => (part > 10 ? ((part / 255 + 0.055) / 1.055) ** 2.4 : part / 3294.6));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.179 ? "#fff" : "#000"; // there both have a contrast of 4.58
}

/**
 * A table of numbers as a picture, light for large ones unless `colors` says otherwise: from a number to red, green and
 * blue. `label` is what a screen reader says of it.
 *
 * @param choose if given, the cells can be chosen: by pointing, tapping, or arrow keys (Home, End, with Ctrl too).
 * @returns root, and draw(values, { low, high, colors, text, label, classes }): values is a list of rows.
 */
export function numberGrid({ label, choose = null }) {
  const root = element("div", { class: "grid", role: choose ? "grid" : "img", "aria-label": label });
  const chosen = { row: 0, column: 0 };
  let cells = [];

  function build(rows, columns) {
    const one = (row, column) => {
      if (!choose) return element("span", { class: "cell" });
      const go = () => choose(row, column);
      return element("span", { class: "cell", role: "gridcell", onpointermove: go, onclick: go, onfocusin: go });
    };
    cells = Array.from({ length: rows }, (_, row) => Array.from({ length: columns }, (_, column) => one(row, column)));
    const line = (row) => element("div", { class: "row", role: choose ? "row" : null }, ...row);
    root.replaceChildren(...cells.map(line));
  }
  function keys(event) {
    const last = { row: cells.length - 1, column: cells[0].length - 1 };
    const { row, column } = chosen;
    const to = {
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      Home: [event.ctrlKey ? 0 : row, 0],
      End: [event.ctrlKey ? last.row : row, last.column],
    }[event.key];
    if (!to) return;
    event.preventDefault();
    cells[Math.min(Math.max(to[0], 0), last.row)][Math.min(Math.max(to[1], 0), last.column)].focus();
  }
  if (choose) root.addEventListener("keydown", keys);

  function draw(values, { low, high, colors = null, text = short, classes = () => "", label: said = label } = {}) {
    if (cells.length !== values.length || cells[0]?.length !== values[0].length) {
      build(values.length, values[0].length);
    }
    root.setAttribute("aria-label", said);
    const flat = values.flat();
    const [bottom, top] = [low ?? Math.min(...flat), high ?? Math.max(...flat)];
    const grays = (value) => (top > bottom ? Math.round(40 + (205 * (value - bottom)) / (top - bottom)) : 140);
    values.forEach((line, row) =>
      line.forEach((value, column) => {
        const cell = cells[row][column];
        const ground = colors ? colors(value) : Array(3).fill(grays(value));
        cell.style.background = `rgb(${ground.join(", ")})`;
        cell.style.color = legibleOn(ground);
        const written = text(value, row, column);
        if (cell.textContent !== written) cell.textContent = written;
        cell.className = `cell ${classes(row, column)}`;
        if (choose) cell.setAttribute("aria-label", `row ${row}, column ${column}: ${written}`);
      }),
    );
  }
  /** Which cell is the chosen one: it alone can be reached by Tab. */
  function mark(row, column) {
    Object.assign(chosen, { row, column });
    cells.forEach((line, r) =>
      line.forEach((cell, c) => {
        const here = r === row && c === column;
        cell.classList.toggle("chosen", here);
        cell.tabIndex = here ? 0 : -1;
        cell.setAttribute("aria-selected", here);
      }),
    );
  }
  return { root, draw, mark };
}

/** Bring each explorer of this kind that is on the page to life; one that fails keeps its picture. */
export function mount(name, render) {
  for (const root of document.querySelectorAll(`.course-explorer-root[data-explorer="${name}"]:not([data-live])`)) {
    root.dataset.live = "";
    try {
      enliven(root, name, render);
    } catch (error) {
      console.error(error);
    }
  }
}

function enliven(root, name, render) {
  const state = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
  const live = element("div", { class: `course-explorer ${name}`, role: "group", "aria-label": state.title });
  const begin = () => live.replaceChildren(element("p", { class: "title" }, state.title), ...render(state));
  begin();
  live.addEventListener("reset", () => {
    const pressed = document.activeElement?.textContent;
    begin();
    [...live.querySelectorAll("button")].find((one) => one.textContent === pressed)?.focus();
  });
  live.addEventListener("keydown", keep);
  root.querySelector(".still").hidden = true;
  root.append(live);
  follow(new WeakRef(root));
  new ResizeObserver(() => globalThis.google?.colab?.output?.resizeIframeToContent?.()).observe(live);
}

/** Begins an explorer again, as it was when the page was opened. */
export function resetButton() {
  return button("Reset", (event) => event.target.dispatchEvent(new Event("reset", { bubbles: true })));
}

/** Keys that belong to an explorer do not reach the notebook, where letters and arrows are commands. */
function keep(event) {
  const commands = event.ctrlKey || event.metaKey || event.altKey || (event.shiftKey && event.key === "Enter");
  const moves = /^(Arrow|Home|End|Page)/.test(event.key);
  if ((moves || !commands) && event.key !== "Tab" && event.key !== "Escape") event.stopPropagation();
}

/** Light or dark, as the page is: by the color of its text. Held weakly: a cell that runs again lets the old one go. */
function follow(held) {
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const watch = new MutationObserver(tell);
  function tell() {
    const root = held.deref();
    if (!root) {
      watch.disconnect();
      scheme.removeEventListener("change", tell);
      return;
    }
    const [red, green, blue] = getComputedStyle(root).color.match(/[\d.]+/g).map(Number);
    root.classList.toggle("dark", red + green + blue > 384);
  }
  tell();
  for (const one of [document.documentElement, document.body]) watch.observe(one, { attributes: true });
  scheme.addEventListener("change", tell);
}
