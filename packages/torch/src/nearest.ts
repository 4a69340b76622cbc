/**
 * The choice that `word` was probably meant to be: the fewest inserted, deleted, exchanged or swapped characters.
 *
 * @returns nothing when no choice is closer than about half of the word, and for what is too long to be a slip of the hand
 */
export function nearest(word: string, choices: readonly string[]): string | undefined {
  // The distance takes time and memory by the product of both lengths.
  if (word.length > LONGEST) return undefined;
  let best: { choice: string; distance: number } | undefined;
  for (const choice of choices) {
    const distance = editDistance(word.toLowerCase(), choice.toLowerCase());
    if (best === undefined || distance < best.distance) best = { choice, distance };
  }
  const bearable = Math.max(2, Math.ceil(word.length / 2));
  return best !== undefined && best.distance <= bearable ? best.choice : undefined;
}

const LONGEST = 200;

/** @internal "did you mean 'x'?", or the list of choices when none is near. */
export function didYouMean(word: string, choices: readonly string[]): string {
  const choice = nearest(word, choices);
  return choice === undefined ? `choose one of ${choices.join(", ")}` : `did you mean '${choice}'?`;
}

/** Optimal string alignment: Levenshtein's distance with swaps of neighbors. */
export function editDistance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const exchange = rows[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = swapped ? rows[i - 2]![j - 2]! + 1 : Number.POSITIVE_INFINITY;
      row.push(Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, exchange, swap));
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}
