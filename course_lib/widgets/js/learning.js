// Filters learn by gradient descent, written out: forward, loss, gradient, step.
const SIDE = 3; // of a filter

/** Slides a table over a larger one, and sums up the products: torch's conv2d of one channel. */
function correlate(image, table) {
  const [height, width] = [table.length, table[0].length];
  const output = [];
  for (let row = 0; row + height <= image.length; row += 1) {
    const line = [];
    for (let column = 0; column + width <= image[0].length; column += 1) {
      let sum = 0;
      for (let r = 0; r < height; r += 1) {
        for (let c = 0; c < width; c += 1) sum += image[row + r][column + c] * table[r][c];
      }
      line.push(sum);
    }
    output.push(line);
  }
  return output;
}

function minus(left, right) {
  return left.map((line, r) => line.map((value, c) => value - right[r][c]));
}

/** A map for each image and each filter: maps[image][filter][row][column]. */
export function forward(images, filters) {
  return images.map((image) => filters.map((weights) => correlate(image, weights)));
}

/** The mean of all squared differences between two lists of maps, as torch's mse_loss. */
export function loss(maps, targets) {
  let [sum, numbers] = [0, 0];
  const add = (value, target) => ((sum += (value - target) ** 2), (numbers += 1));
  maps.forEach((of, n) =>
    of.forEach((map, f) => map.forEach((line, r) => line.forEach((value, c) => add(value, targets[n][f][r][c])))),
  );
  return sum / numbers;
}

/**
 * How fast the loss grows with each weight, in the shape of the filters.
 *
 * A weight multiplies the pixels that lie under it while its filter slides. So its gradient is the sum of these pixels
 * times the difference where each goes to: the image, correlated with the table of differences.
 */
export function gradient(images, maps, targets) {
  const numbers = maps.length * maps[0].length * maps[0][0].length * maps[0][0][0].length;
  return maps[0].map((_, f) => {
    const sums = images.map((image, n) => correlate(image, minus(maps[n][f], targets[n][f])));
    return table((r, c) => (2 / numbers) * sums.reduce((sum, one) => sum + one[r][c], 0));
  });
}

/** One step of gradient descent as torch.optim.SGD makes it: the filters and their velocity after it. */
export function step({ filters, velocity }, gradients, { rate, momentum }) {
  const next = velocity.map((of, f) => table((r, c) => momentum * of[r][c] + gradients[f][r][c]));
  return { filters: filters.map((of, f) => table((r, c) => of[r][c] - rate * next[f][r][c])), velocity: next };
}

/** Several steps: { filters, velocity, losses }, with the loss after each. */
export function train(images, targets, from, setting, steps) {
  let { filters, velocity = filters.map(() => table(() => 0)) } = from;
  let maps = forward(images, filters);
  const losses = [];
  for (let n = 0; n < steps; n += 1) {
    ({ filters, velocity } = step({ filters, velocity }, gradient(images, maps, targets), setting));
    maps = forward(images, filters);
    losses.push(loss(maps, targets));
  }
  return { filters, velocity, losses };
}

/** The largest curvature of the loss, by power iteration: with targets of 0 the gradient is curvature times weights. */
export function largestCurvature(images, filters) {
  const targets = forward(
    images,
    filters.map(() => table(() => 0)),
  );
  let [weights, size] = [filters.map(() => table(() => 1)), 0];
  for (let n = 0; n < 50; n += 1) {
    const next = gradient(images, forward(images, weights), targets);
    size = Math.sqrt(next.flat(2).reduce((sum, value) => sum + value * value, 0));
    weights = next.map((of) => table((r, c) => of[r][c] / size));
  }
  return size;
}

/** The largest difference between two filters. */
export function distance(left, right) {
  return Math.max(...minus(left, right).flat().map(Math.abs));
}

/** The weights of nn.Conv2d(1, number, 3) after torch.manual_seed(seed): torch's generator, the Mersenne twister. */
export function drawFilters(seed, number) {
  const state = [seed >>> 0];
  for (let n = 1; n < 624; n += 1) state.push((Math.imul(1812433253, state[n - 1] ^ (state[n - 1] >>> 30)) + n) >>> 0);
  const uniform = (n) => {
    const mixed = (state[n] & 0x80000000) | (state[n + 1] & 0x7fffffff);
    let bits = state[n + 397] ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0); // the first 227 numbers need no more
    bits ^= bits >>> 11;
    bits ^= (bits << 7) & 0x9d2c5680;
    bits ^= (bits << 15) & 0xefc60000;
    bits ^= bits >>> 18;
    return (bits & 0xffffff) / 2 ** 24;
  };
  const bound = Math.fround(1 / SIDE); // 1 / √(weights of a filter)
  return Array.from({ length: number }, (_, f) =>
    table((r, c) => Math.fround(uniform(f * SIDE * SIDE + r * SIDE + c) * 2 * bound - bound)),
  );
}

function table(value) {
  return Array.from({ length: SIDE }, (_, r) => Array.from({ length: SIDE }, (_, c) => value(r, c)));
}
