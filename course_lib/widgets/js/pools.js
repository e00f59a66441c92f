// What torch makes of an image: moved, pooled, and with some of its numbers dropped.

/** The image moved to the right and down; what leaves it on one side comes back on the other, as with torch.roll. */
export function moved(image, right, down) {
  const from = (at, by, length) => (((at - by) % length) + length) % length;
  return image.map((line, row) =>
    line.map((_, column) => image[from(row, down, image.length)][from(column, right, line.length)]),
  );
}

/** The pixels under one window, row by row: [{ value, row, column }]. */
export function covered(image, window, row, column) {
  return Array.from({ length: window ** 2 }, (_, n) => {
    const at = { row: row * window + Math.floor(n / window), column: column * window + (n % window) };
    return { value: image[at.row][at.column], ...at };
  });
}

/** The pixel that max pooling takes: the first of the largest. */
export function winner(cells) {
  return cells.reduce((most, one) => (one.value > most.value ? one : most));
}

export function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Windows beside each other, stride = window; one that would reach beyond the image is left out, as in torch. */
export function pool(image, kind, window) {
  const one = (cells) => (kind === "max" ? winner(cells).value : mean(cells.map(({ value }) => value)));
  return Array.from({ length: Math.floor(image.length / window) }, (_, row) =>
    Array.from({ length: Math.floor(image[0].length / window) }, (_, column) => one(covered(image, window, row, column))),
  );
}

/** A generator of numbers from 0 to 1, the same ones for the same seed: "mulberry32" by Tommy Ettinger. */
function generator(seed) {
  let state = Math.imul(seed + 1, 0x9e3779b9); // far apart for seeds that are neighbors
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Which of `length` numbers a draw keeps, each with probability 1 − p. */
export function kept(draw, length, p) {
  const next = generator(draw);
  return Array.from({ length }, () => next() >= p);
}

/** nn.Dropout(p) in training: what is kept is multiplied by 1/(1 − p), the rest becomes 0; with p = 1 all of it. */
export function dropped(values, mask, p) {
  return values.map((value, n) => (mask[n] ? value / (1 - p) : 0));
}

/** mean(dropped(values, kept(draw, ...), p)) for each of the first draws, in loops: it is wanted within a frame. */
export function means(values, p, draws) {
  const found = Array(draws).fill(0);
  for (let draw = 0; p < 1 && draw < draws; draw += 1) {
    const next = generator(draw);
    let sum = 0;
    for (const value of values) if (next() >= p) sum += value;
    found[draw] = sum / (1 - p) / values.length;
  }
  return found;
}
