// What a network sees: an image, a channel's map, and Grad-CAM laid over the image. All maps were computed beforehand
// and lie in PNGs, those of one layer one below the other.
import { choice, element, mount, resetButton, short, status } from "./common.js";

/** Rows enlarged bilinearly, as torch does it with align_corners=False. */
export function enlarge(rows, height, width) {
  const places = (from, to) =>
    Array.from({ length: to }, (_, n) => {
      const at = Math.max(((n + 0.5) * from) / to - 0.5, 0);
      const first = Math.floor(at);
      return [first, Math.min(first + 1, from - 1), at - first];
    });
  const mixed = (a, b, part) => a * (1 - part) + b * part;
  const across = places(rows[0].length, width);
  const wide = rows.map((row) => across.map(([a, b, part]) => mixed(row[a], row[b], part)));
  return places(rows.length, height).map(([a, b, part]) => wide[a].map((value, n) => mixed(value, wide[b][n], part)));
}

const CIVIDIS = ["#00224e", "#1a386f", "#434e6c", "#61656f", "#7d7c78", "#9b9476", "#bcae6c", "#dec958", "#fee838"];
const STOPS = CIVIDIS.map((color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)));

/** The color (red, green, blue) of a number in 0..1. */
export function cividis(value) {
  const at = value * (STOPS.length - 1);
  const first = Math.min(Math.floor(at), STOPS.length - 2);
  return STOPS[first].map((low, k) => low + (STOPS[first + 1][k] - low) * (at - first));
}
const COLORS = Array.from({ length: 256 }, (_, n) => cividis(n / 255));

/** The pixels of a PNG. */
export async function pixelsOf(uri) {
  const image = new Image();
  image.src = uri;
  await image.decode();
  const { width, height } = image;
  const context = element("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, width, height);
}

/** The numbers 0 to 255 of one of several gray pictures of the same height, one below the other, as rows. */
export function rowsOf({ width, data }, index, height) {
  const pixel = (row, column) => data[4 * ((index * height + row) * width + column)];
  return Array.from({ length: height }, (_, row) => Array.from({ length: width }, (_, column) => pixel(row, column)));
}

/** A probability as people write it: no certainty that the network has not. */
export function chance(prob) {
  if (prob > 0.9995) return "above 0.999";
  return prob < 0.0005 ? "below 0.001" : prob.toFixed(3);
}

const greatest = (rows) => Math.max(...rows.map((row) => Math.max(...row)));
const likeliest = (probs) => probs.indexOf(Math.max(...probs));

function render(state) {
  const { classes, layers, images, targets } = state;
  const told = status();
  // An index into images, layers, the prepared channels of the layer, and the prepared classes.
  const now = { image: state.chosen, layer: layers.length - 1, channel: 0 };
  now.target = Math.max(targets.indexOf(likeliest(images[now.image].probs)), 0);
  const change = (what) => {
    Object.assign(now, what);
    if ("layer" in what || "image" in what) fillChannels();
    draw();
  };

  const layer = choice({
    label: "layer",
    options: layers.map(({ name }, k) => [name, k]),
    value: now.layer,
    change: (to) => change({ layer: to, channel: 0 }),
  });
  const target = choice({
    label: "Grad-CAM for",
    options: targets.map((one, k) => [classes[one], k]),
    value: now.target,
    change: (to) => change({ target: to }),
  });
  const imageList = gallery("images", (to) => change({ image: to }));
  const channelList = gallery("channels", (to) => change({ channel: to }));
  const imageCount = note();
  const channelCount = note();
  const nothing = note();
  const gray = ramp("#000, #fff");
  const heat = ramp(CIVIDIS.join(", "));
  const bars = element("div");
  const picture = panel(imageCount, imageList.root);
  const map = panel(gray.root, channelCount, channelList.root);
  const overlay = panel(heat.root, nothing, element("p", { class: "panel-title" }, "predicted probabilities"), bars);

  let pixels; // of each image { picture, layers: [{ maps, heats }] }
  const rows = (kind, index) => rowsOf(pixels[now.image].layers[now.layer][kind], index, layers[now.layer].shape[1]);

  function fillImages() {
    imageCount.textContent = picked(images.length - state.own, state.given, "images");
    imageList.fill(images.map(({ name }, k) => ({ name, paint: pixels[k].picture })));
  }
  function fillChannels() {
    const { name, shape, channels } = layers[now.layer];
    channelCount.textContent = picked(channels.length, shape[0], `channels of ${name}`);
    const item = (channel, k) => ({ name: `channel ${channel}`, paint: grayPixels(rows("maps", k)) });
    channelList.fill(channels.map(item));
  }
  function draw() {
    const { name, probs, layers: its } = images[now.image];
    const { name: where, shape, channels } = layers[now.layer];
    const [low, high] = its[now.layer].ranges[now.channel].map(short);
    const wanted = classes[targets[now.target]];
    const speaks = its[now.layer].speaks[now.target];
    const shown = pixels[now.image].picture;
    imageList.mark(now.image);
    channelList.mark(now.channel);
    picture.draw(name, shown, name);

    const channel = `channel ${channels[now.channel]}`;
    const numbers = `${shape[1]}×${shape[2]} numbers from ${low} to ${high}`;
    map.draw(`${where}, ${channel}`, grayPixels(rows("maps", now.channel)), `map of ${numbers}`);
    gray.set(low, high);

    const large = enlarge(rows("heats", now.target), shown.height, shown.width);
    const most = greatest(large);
    const row = large.findIndex((line) => line.includes(most));
    const found = speaks
      ? `Grad-CAM for ${wanted} is strongest at row ${row}, column ${large[row].indexOf(most)} of the image.`
      : `Nothing in ${where} speaks for ${wanted}.`;
    overlay.draw(`Grad-CAM for ${wanted} in ${where}`, speaks ? laidOver(shown, large, most) : shown, found);
    heat.set("0", "1, the strongest in this image");
    heat.root.hidden = !speaks;
    nothing.textContent = speaks ? "" : found;

    const best = likeliest(probs);
    bars.replaceChildren(...classes.map((one, k) => bar(one, probs[k], k === best)).filter(likely(probs)));
    told.say(
      `For ${name} the network predicts ${classes[best]} (probability ${chance(probs[best])}). ` +
        `In ${where}, ${channel} has ${numbers}. ${found}`,
    );
  }

  Promise.all(images.map(unpacked)).then((all) => {
    pixels = all;
    fillImages();
    fillChannels();
    draw();
  }, () => told.refuse("The browser could not read the pictures; run the cell again."));
  const fewer = note(`Grad-CAM is prepared for the ${targets.length} likeliest of ${classes.length} classes.`);
  fewer.hidden = targets.length === classes.length;
  return [
    element("div", { class: "controls" }, layer.root, target.root, resetButton()),
    element("div", { class: "panels features" }, picture.root, map.root, overlay.root),
    fewer,
    told.root,
  ];
}

async function unpacked({ picture, layers }) {
  const each = layers.map(async ({ maps, heats }) => ({ maps: await pixelsOf(maps), heats: await pixelsOf(heats) }));
  return { picture: await pixelsOf(picture), layers: await Promise.all(each) };
}

const note = (text = "") => element("p", { class: "sum" }, text);
const picked = (count, all, what) => (count < all ? `${count} of ${all} ${what} are prepared` : `all ${all} ${what}`);

/** Whether a class is among the ten likeliest. */
function likely(probs) {
  const least = [...probs].sort((a, b) => b - a)[9] ?? 0;
  return (_, k) => probs[k] >= least;
}

function bar(name, prob, best) {
  const track = element("span", { class: "track" }, element("span", { style: `width: ${100 * prob}%` }));
  const root = element("div", { class: best ? "probability best" : "probability" });
  root.append(element("span", {}, name), track, element("span", {}, chance(prob)));
  return root;
}

/** A picture with its title, and what stands below it. */
function panel(...below) {
  const title = element("p", { class: "panel-title" });
  const canvas = element("canvas", { role: "img" });
  return {
    root: element("div", { class: "pane" }, title, canvas, ...below),
    draw(text, pixels, label) {
      title.textContent = text;
      canvas.setAttribute("aria-label", label);
      put(canvas, pixels);
    },
  };
}

/** What the shades of a picture mean, from dark to bright. */
function ramp(colors) {
  const [low, high] = [element("span"), element("span")];
  const shades = element("span", { class: "ramp", style: `background: linear-gradient(to right, ${colors})` });
  return {
    root: element("p", { class: "sum scale" }, low, shades, high),
    set: (from, to) => ([low.textContent, high.textContent] = [from, to]),
  };
}

/** Small pictures, of which one is chosen: by pointing, tapping or arrow keys. */
function gallery(label, choose) {
  const root = element("div", { class: "gallery", role: "listbox", "aria-label": label, onkeydown: keys });
  let chosen = 0;

  function keys(event) {
    const all = [...root.children];
    const columns = all.filter((one) => one.offsetTop === all[0].offsetTop).length;
    const last = all.length - 1;
    const to = {
      ArrowLeft: chosen - 1,
      ArrowRight: chosen + 1,
      ArrowUp: chosen - columns,
      ArrowDown: chosen + columns,
      Home: 0,
      End: last,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (to < 0 || to > last || to === chosen) return;
    choose(to);
    all[to].focus();
  }
  function fill(items) {
    while (root.children.length > items.length) root.lastChild.remove();
    items.forEach(({ name, paint }, k) => {
      if (!root.children[k]) {
        root.append(element("span", { role: "option", onclick: () => choose(k) }, element("canvas"), element("span")));
      }
      const option = root.children[k];
      option.setAttribute("aria-label", name);
      option.lastChild.textContent = name.replace(/^(image|channel) /, "");
      put(option.firstChild, paint);
    });
  }
  function mark(which) {
    chosen = which;
    [...root.children].forEach((option, k) => {
      option.tabIndex = k === which ? 0 : -1;
      option.setAttribute("aria-selected", k === which);
    });
  }
  return { root, fill, mark };
}

function put(canvas, pixels) {
  Object.assign(canvas, { width: pixels.width, height: pixels.height });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

function grayPixels(rows) {
  const pixels = new ImageData(rows[0].length, rows.length);
  rows.flat().forEach((value, k) => pixels.data.fill(value, 4 * k, 4 * k + 3));
  return opaque(pixels);
}

/** An image under the colors of a heat map, which hide more of it where the heat is great. */
function laidOver({ width, height, data }, rows, most) {
  const pixels = new ImageData(width, height);
  rows.flat().forEach((value, k) => {
    const cover = 0.2 + (0.5 * value) / most;
    const color = COLORS[Math.round((255 * value) / most)];
    for (let c = 0; c < 3; c += 1) pixels.data[4 * k + c] = data[4 * k + c] * (1 - cover) + color[c] * cover;
  });
  return opaque(pixels);
}

function opaque(pixels) {
  for (let k = 3; k < pixels.data.length; k += 4) pixels.data[k] = 255;
  return pixels;
}

mount("features", render);
