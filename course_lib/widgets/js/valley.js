// Gradient descent with momentum on a valley of two curvatures, and what decides whether it settles.
const SAME = 1e-9; // a factor so near to -1 is -1: 2(1 + momentum) / curvature is rounded

/** The height of the valley at (x, y). */
export function valley([x, y], [flat, steep]) {
  return (flat * x * x + steep * y * y) / 2;
}

/** The start and the place after each step, as torch.optim.SGD moves: a list of { place, velocity }. */
export function descend({ start, curvatures, rate, momentum, steps }) {
  const all = [{ place: start, velocity: [0, 0] }];
  for (let n = 0; n < steps; n += 1) {
    const { place, velocity } = all[n];
    const next = velocity.map((speed, axis) => momentum * speed + curvatures[axis] * place[axis]);
    all.push({ place: place.map((at, axis) => at - rate * next[axis]), velocity: next });
  }
  return all;
}

/**
 * What happens along a direction of this curvature in the long run: { factor, swings }.
 *
 * A step turns (place, velocity) into two others by a matrix whose eigenvalues z solve
 * z² − (1 + momentum − rate · curvature) z + momentum = 0. The factor is the larger of them; where they are complex,
 * their size, and the path swings.
 */
export function fate(curvature, { rate, momentum }) {
  const sum = 1 + momentum - rate * curvature;
  const root = Math.sqrt(sum * sum - 4 * momentum);
  if (Number.isNaN(root)) return { factor: Math.sqrt(momentum), swings: true };
  return { factor: (sum + Math.sign(sum) * root) / 2, swings: sum < 0 };
}

/** What a direction does whose coordinate starts there, in words. */
export function verdict(at, { factor, swings }) {
  if (at === 0) return "stays at 0";
  if (Math.abs(factor) > 1 + SAME) return "diverges";
  if (Math.abs(factor) > 1 - SAME) return "oscillates forever";
  if (factor === 0) return "arrives in one step";
  return swings ? "oscillates and settles" : "settles";
}

/** The points up to the first far outside of the picture; that one is pulled back along its step, to less far. */
export function visible(path, [width, height]) {
  const far = ([x, y]) => Math.max(Math.abs(x) / width, Math.abs(y) / height);
  const end = path.findIndex((point) => far(point) > 3);
  if (end < 0) return path;
  const [from, to] = [path[end - 1], path[end]];
  const part = 4.5 / far([to[0] - from[0], to[1] - from[1]]);
  return [...path.slice(0, end), from.map((at, axis) => at + Math.min(part, 1) * (to[axis] - at))];
}
