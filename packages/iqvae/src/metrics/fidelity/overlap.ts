/**
 * Mean intersection over union of two lists of class maps: for each class that occurs in either, the pixels that both give it
 * over the pixels that at least one does, counted over all maps together (Everingham et al. 2015, § 4.2).
 *
 * @param predicted class numbers
 * @param truth as many class numbers
 * @returns in [0, 1]; 1 where there is no pixel
 * @throws RangeError when the lengths differ or a number is not a class
 */
export function meanIou(predicted: Uint8Array, truth: Uint8Array, classes: number): number {
  expectAlike("meanIou", predicted, truth);
  const both = new Float64Array(classes);
  const either = new Float64Array(classes);
  for (let i = 0; i < truth.length; i++) {
    const [p, t] = [predicted[i]!, truth[i]!];
    if (p >= classes || t >= classes)
      throw new RangeError(
        `meanIou: pixel ${i} holds ${p} and ${t}, but there are ${classes} classes, 0 to ${classes - 1}.`,
      );
    either[t]!++;
    if (p === t) both[t]!++;
    else either[p]!++;
  }
  if (truth.length === 0) return 1;
  const shares = Array.from(both, (count, c) => [count, either[c]!] as const).filter(([, union]) => union > 0);
  return shares.reduce((sum, [count, union]) => sum + count / union, 0) / shares.length;
}

/**
 * F1 score of line drawings with a tolerance of one pixel, counted over all of them together: a drawn pixel is right when a
 * true one is among its 3 × 3 neighbors, a true pixel is found when a drawn one is among its own.
 *
 * @param predicted 0 or 1, `[n, side, side]`
 * @param truth of the same length
 * @returns in [0, 1]; 1 where both are empty
 */
export function lineF1(predicted: Uint8Array, truth: Uint8Array, side: number): number {
  expectAlike("lineF1", predicted, truth);
  const right = near(predicted, truth, side);
  const found = near(truth, predicted, side);
  const total = right.lines + found.lines;
  if (total === 0) return 1;
  const precision = right.lines === 0 ? 0 : right.near / right.lines;
  const recall = found.lines === 0 ? 0 : found.near / found.lines;
  return precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall);
}

/** How many pixels of `lines` there are, and how many of them have one of `others` within a pixel. */
function near(lines: Uint8Array, others: Uint8Array, side: number): { lines: number; near: number } {
  const count = { lines: 0, near: 0 };
  for (let start = 0; start < lines.length; start += side * side)
    for (let y = 0; y < side; y++)
      for (let x = 0; x < side; x++) {
        if (lines[start + y * side + x] === 0) continue;
        count.lines++;
        if (hasNeighbor(others, start, side, x, y)) count.near++;
      }
  return count;
}

function hasNeighbor(others: Uint8Array, start: number, side: number, x: number, y: number): boolean {
  for (let ny = Math.max(y - 1, 0); ny <= Math.min(y + 1, side - 1); ny++)
    for (let nx = Math.max(x - 1, 0); nx <= Math.min(x + 1, side - 1); nx++)
      if (others[start + ny * side + nx] !== 0) return true;
  return false;
}

function expectAlike(name: string, a: Uint8Array, b: Uint8Array): void {
  if (a.length !== b.length)
    throw new RangeError(`${name} takes two rasters of equal length, not of ${a.length} and ${b.length}.`);
}
