// What a threshold does to scores: confusion matrices, the ROC curve, and what the errors cost.

// Scores are { values, healthy, sick, single, decimals }: of each distinct probability, in ascending order, how many
// healthy and how many sick have it; single says float32: a threshold is rounded as torch rounds it; decimals are those
// that a threshold may have. A cut is the index of the first value that is predicted sick; values.length means none.

const rounded = ({ single }, threshold) => (single ? Math.fround(threshold) : threshold);

/** The cut of a threshold: predicted sick is whatever has `probs >= threshold`. */
export function cutAt(scores, threshold) {
  const limit = rounded(scores, threshold);
  let [low, high] = [0, scores.values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rounded(scores, scores.values[middle]) >= limit) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The confusion matrix of each cut: [[true negatives, false positives], [false negatives, true positives]]. */
export function matrices({ healthy, sick }) {
  const sum = (counts) => counts.reduce((a, b) => a + b, 0);
  let [tn, fp, fn, tp] = [0, sum(healthy), 0, sum(sick)];
  const all = [[[tn, fp], [fn, tp]]];
  healthy.forEach((count, k) => {
    [tn, fp, fn, tp] = [tn + count, fp - count, fn + sick[k], tp - sick[k]];
    all.push([[tn, fp], [fn, tp]]);
  });
  return all;
}

/** The confusion matrix at a threshold: rows are the truth, columns the prediction. */
export function confusion(scores, threshold) {
  return matrices(scores)[cutAt(scores, threshold)];
}

/** The point of a confusion matrix on the ROC curve. */
export function rates([[tn, fp], [fn, tp]]) {
  return { x: fp / (tn + fp), y: tp / (fn + tp) };
}

/** The area under the ROC curve, by trapezoids. */
export function auc(scores) {
  const points = matrices(scores).map(rates);
  return points.slice(1).reduce((sum, { x, y }, k) => sum + ((points[k].x - x) * (points[k].y + y)) / 2, 0);
}

/** Of the thresholds that make a cut, the decimal number with the fewest digits; null where all of them exceed 1. */
export function simplest(scores, cut) {
  if (cut === 0) return 0;
  const value = (k) => rounded(scores, scores.values[k]);
  const [below, above] = [value(cut - 1), cut < scores.values.length ? value(cut) : 1];
  if (below >= 1) return null;
  for (let places = 1; places <= scores.decimals; places += 1) {
    const found = Number(((below + above) / 2).toFixed(places));
    if (rounded(scores, found) > below && rounded(scores, found) <= above) return found;
  }
  return above;
}

export function cost([[, alarms], [misses]], { miss, alarm }) {
  return misses * miss + alarms * alarm;
}

/** The lowest threshold in 0..1 at which the errors cost least. */
export function cheapest(scores, prices) {
  const costs = matrices(scores).map((matrix) => cost(matrix, prices));
  if (simplest(scores, costs.length - 1) === null) costs.pop();
  const least = Math.min(...costs);
  return { threshold: simplest(scores, costs.indexOf(least)), cost: least };
}
