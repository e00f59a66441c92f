// A stack of layers that the learner edits: the network as volumes in a row, and a table of what torch makes of it.
import { button, choice, element, mount, numberField, resetButton, status } from "./common.js";
import { seen, trace } from "./stack.js";
import { digits, explained, fieldSize, summary, tuple, view } from "./stack_words.js";
import { connection, patch, volume } from "./volumes.js";

const KINDS = {
  nothing: ["nothing", ""],
  conv3: ["convolution 3×3, padding 1", "conv 3×3"],
  conv5: ["convolution 5×5, stride 2", "conv 5×5"],
  depthwise: ["depthwise 3×3, padding 1", "depthwise"],
  conv1: ["convolution 1×1", "conv 1×1"],
  batchnorm: ["batch norm", "batch norm"],
  relu: ["ReLU", "ReLU"],
  pool: ["max pooling 2", "max pool 2"],
  mean: ["mean over each map", "mean"],
  flatten: ["flatten", "flatten"],
  dense: ["dense, 10 outputs", "dense"],
  dense2048: ["dense for 2048 inputs", "dense"],
};
const FACTS = ["as torch prints it", "output shape", "parameters", "multiply-adds", "receptive field"];
const LEGEND =
  "Front of a box: height × width, to scale; depth: channels. Bar: numbers in a row. Point at a layer to mark, on the " +
  "image, what one output sees.";
const MOST = 8; // layers

function render(state) {
  const setting = { side: state.side, channels: state.channels };
  const told = status();
  let chosen = null; // number of a layer; -1 is the image
  let spoken = null; // number of the layer that the sentence is about
  let rows, stages; // what torch makes of each layer up to the first that does not fit; the boxes, by number

  // --- one line of the table for each layer, which keeps its controls when it moves
  const lines = state.layers.map(line);
  function line(kind) {
    const mine = { kind, facts: [] };
    const at = () => lines.indexOf(mine);
    mine.list = choice({
      label: "layer",
      options: Object.entries(KINDS).map(([key, [name]]) => [name, key]),
      value: kind,
      change: (to) => ((mine.kind = to), update()),
    }).list;
    mine.up = button("↑", () => move(mine, -1));
    mine.down = button("↓", () => move(mine, 1));
    mine.remove = button("×", () => remove(mine));
    mine.number = cell("number");
    mine.picked = cell("kind", mine.list);
    const show = () => at() !== chosen && choose(at()); // a list just changed in this line is no reason to speak of it
    const tools = cell("tools", mine.up, mine.down, mine.remove);
    mine.root = element("tr", { role: "row", onpointermove: show, onfocusin: show }, mine.number, mine.picked, tools);
    return mine;
  }
  function move(mine, by) {
    const at = lines.indexOf(mine);
    if (!lines[at + by]) return told.refuse(`Layer ${at} is the ${by < 0 ? "first" : "last"} one; it stays there.`);
    lines.splice(at, 1);
    lines.splice(at + by, 0, mine);
    arrange(at + by);
    (by < 0 ? mine.up : mine.down).focus(); // which it lost on the way
  }
  function remove(mine) {
    if (lines.length === 1) return told.refuse("One layer has to stay; choose another kind for it.");
    const at = lines.indexOf(mine);
    lines.splice(at, 1);
    arrange(Math.min(at, lines.length - 1));
    lines[chosen].remove.focus();
  }
  function add() {
    if (lines.length === MOST) return told.refuse(`At most ${MOST} layers are drawn here; remove one first.`);
    lines.push(line("nothing"));
    arrange(lines.length - 1);
    lines[chosen].list.focus();
    told.say(`Layer ${chosen} is new and does nothing yet; choose its kind.`);
  }

  // --- drawing
  const network = element("div", { class: "network", role: "listbox", "aria-label": "the network", onkeydown: walk });
  const body = element("tbody", { role: "rowgroup" });
  const image = element("tr", { role: "row", onpointermove: () => spoken !== -1 && choose(-1) });
  const totals = element("tr", { role: "row", class: "total" });

  function arrange(to) {
    chosen = to;
    body.replaceChildren(image, ...lines.map(({ root }) => root), totals);
    lines.forEach(({ number, list, up, down, remove: out }, n) => {
      number.textContent = n;
      const names = [[list, `layer ${n}`], [up, `move layer ${n} up`], [down, `move layer ${n} down`], [out, `remove layer ${n}`]];
      for (const [control, name] of names) control.setAttribute("aria-label", name);
    });
    update();
  }
  function update() {
    rows = trace(lines.map(({ kind }) => kind), setting.side, setting.channels);
    lines.forEach((mine, n) => {
      mine.facts.forEach((old) => old.remove());
      mine.facts = facts(rows[n], n);
      mine.picked.after(...mine.facts);
    });
    const sum = (of) => digits(rows.reduce((total, row) => total + of(row), 0));
    fill(image, "", "the image", "", tuple([1, 1, setting.side, setting.side]), "", "", "1 × 1", "");
    fill(totals, "", "total", "", "", sum((row) => row.layer.parameters), sum((row) => row.multiplyAdds ?? 0), "", "");
    totals.hidden = Boolean(rows.at(-1).error);
    drawNetwork();
    mark();
    spoken = null;
    told.say(summary(rows, setting.side));
  }
  function fill(root, ...texts) {
    root.replaceChildren(...texts.map((text, n) => cell(FACTS[n - 2] ?? "", text)));
  }
  function facts(row, n) {
    if (!row) return [cell(FACTS[0], "not reached"), ...FACTS.slice(1).map((name) => cell(name, ""))];
    const { torch, parameters } = row.layer;
    if (row.error) {
      const message = cell("message", `✗ ${row.error}`);
      message.colSpan = FACTS.length - 1;
      return [cell(FACTS[0], torch), message];
    }
    const field = fieldSize(row.fields, seen(rows, n), setting.side);
    const texts = [torch, tuple(row.output), digits(parameters), digits(row.multiplyAdds), field];
    return texts.map((text, k) => cell(FACTS[k], text));
  }

  function drawNetwork() {
    const shapes = new Map([[-1, [1, 1, setting.side, setting.side]]]);
    lines.forEach(({ kind }, n) => kind !== "nothing" && shapes.set(n, rows[n]?.output ?? null));
    stages = new Map([...shapes].map(([n, shape]) => [n, stage(n, shape)]));
    const link = (n) => (rows[n] ? (rows[n].error ? "broken" : "whole") : "unreached");
    network.replaceChildren(
      ...[...stages].map(([n, root]) =>
        element("div", { class: "pair", role: "presentation" }, ...(n < 0 ? [] : [connection(link(n))]), root),
      ),
    );
  }
  function stage(n, shape) {
    const name = n < 0 ? "image" : KINDS[lines[n].kind][1];
    const outcome = shape ? tuple(shape) : rows[n] ? "does not fit" : "not reached";
    const go = () => n !== spoken && choose(n);
    return element(
      "div",
      {
        class: "stage",
        role: "option",
        "aria-label": n < 0 ? `image: ${outcome}` : `layer ${n}, ${name}: ${outcome}`,
        onpointermove: go,
        onclick: go,
        onfocusin: go,
      },
      volume(shape, largest(), n < 0 ? "image" : "maps"),
      element("span", { class: "stage-name" }, name),
      element("span", { class: "stage-shape" }, shape ? shape.slice(1).map(digits).join("×") : "?"),
    );
  }
  function largest() {
    return Math.max(setting.side, ...rows.flatMap(({ output }) => (output?.length === 4 ? output.slice(2) : [])));
  }

  // --- one layer is chosen by pointing or by the keyboard: its box, its line, and what it sees of the image
  function choose(n) {
    chosen = spoken = n;
    mark();
    const row = rows[n];
    if (n < 0) return told.say(`The image: 1 channel of ${setting.side}×${setting.side} pixels.`);
    if (!row) return told.say(`Layer ${n} is not reached, since layer ${rows.length - 1} does not fit.`);
    if (row.error) return told.say(summary(rows, setting.side));
    const { index, ...area } = seen(rows, n);
    const place = `Its output [${index.join(", ")}], in the middle, sees ${view(area, setting.side)}`;
    told.say(`Layer ${n}, ${explained(row)} ${place}.`);
  }
  function mark() {
    const reachable = stages.has(chosen) ? chosen : -1;
    for (const [n, root] of stages) {
      root.classList.toggle("lit", n === chosen);
      root.setAttribute("aria-selected", n === chosen);
      root.tabIndex = n === reachable ? 0 : -1;
    }
    image.classList.toggle("lit", chosen === -1);
    lines.forEach(({ root }, n) => root.classList.toggle("lit", n === chosen));
    const picture = stages.get(-1).querySelector("svg");
    picture.querySelector(".seen")?.remove();
    if (rows[chosen]?.output) picture.append(patch(seen(rows, chosen), setting.side, largest()));
  }
  function walk(event) {
    const order = [...stages.keys()];
    const at = Math.max(order.indexOf(chosen), 0);
    const last = order.length - 1;
    const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    stages.get(order[Math.min(Math.max(to, 0), last)]).focus();
  }

  const fields = { side: ["image side", 4, 128], channels: ["channels of a convolution", 1, 64] };
  const setters = Object.entries(fields).map(([name, [label, min, max]]) => {
    const change = (to) => ((setting[name] = to), update());
    return numberField({ label, value: setting[name], min, max, refuse: told.refuse, change }).root;
  });
  const heads = ["", "layer", ...FACTS, "change"].map((text) => element("th", { role: "columnheader", scope: "col" }, text));
  const head = element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, ...heads));
  arrange(null);
  return [
    element("div", { class: "controls" }, ...setters, button("Add a layer", add), resetButton()),
    element("div", { class: "stack" }, network, element("p", { class: "legend" }, LEGEND), element("table", { role: "table" }, head, body)),
    told.root,
  ];
}

/** A cell of the table, which on a narrow page tells the name of its column. */
function cell(name, ...children) {
  return element("td", { role: "cell", "data-name": name }, ...children);
}

mount("shapes", render);
