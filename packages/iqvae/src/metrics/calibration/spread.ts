/** What the images of one condition show of something that it leaves open, such as the color of the hair. */
export interface Reading {
  readonly trait: string;
  /** Modes of its true distribution, each equally likely. */
  readonly modes: number;
  /** The mode of each image. */
  readonly shown: readonly number[];
}

/** How one trait is spread. */
export interface TraitCalibration {
  /**
   * Mean over conditions of the total variation distance between the modes of its samples and the true distribution, in [0, 1].
   * Few samples cannot spread evenly over many modes: compare with what true images score at the same number.
   */
  readonly totalVariation: number;
  /** The same of the modes of all conditions together. */
  readonly pooledTotalVariation: number;
  /** Mean over conditions of the share of the modes that come up among its samples. */
  readonly coverage: number;
  /** What {@link coverage} would be of true draws on average: `1 − (1 − 1/K)ⁿ`. */
  readonly expectedCoverage: number;
  /** Images that the trait was read in. */
  readonly readings: number;
}

/** By trait; `mean` over those that were read. */
export interface Calibration {
  readonly traits: Readonly<Record<string, TraitCalibration>>;
  readonly mean: Omit<TraitCalibration, "readings">;
}

/**
 * How close what is drawn for a condition comes to the true distribution of what it leaves open, where that is known. [O]
 *
 * @param readings of all conditions; those of one trait have equally many modes
 * @throws RangeError when there is nothing to read
 */
export function spreadOf(readings: readonly Reading[]): Calibration {
  const full = readings.filter(({ shown }) => shown.length > 0);
  if (full.length === 0) throw new RangeError("calibration got no image in which anything could be read.");
  const names = [...new Set(full.map(({ trait }) => trait))];
  const traits = Object.fromEntries(
    names.map((name) => [name, traitCalibration(full.filter(({ trait }) => trait === name))]),
  );
  const all = Object.values(traits);
  const mean = (key: keyof TraitCalibration) => all.reduce((sum, found) => sum + found[key], 0) / all.length;
  return {
    traits,
    mean: {
      totalVariation: mean("totalVariation"),
      pooledTotalVariation: mean("pooledTotalVariation"),
      coverage: mean("coverage"),
      expectedCoverage: mean("expectedCoverage"),
    },
  };
}

function traitCalibration(readings: readonly Reading[]): TraitCalibration {
  const K = readings[0]!.modes;
  const each = readings.map(({ shown }) => ({ counts: countsOf(shown, K), n: shown.length }));
  const mean = (value: (one: { counts: readonly number[]; n: number }) => number) =>
    each.reduce((sum, entry) => sum + value(entry), 0) / each.length;
  return {
    totalVariation: mean(({ counts }) => fromUniform(counts)),
    pooledTotalVariation: fromUniform(
      countsOf(
        readings.flatMap(({ shown }) => shown),
        K,
      ),
    ),
    coverage: mean(({ counts }) => counts.filter((count) => count > 0).length / K),
    expectedCoverage: mean(({ n }) => 1 - (1 - 1 / K) ** n),
    readings: each.reduce((sum, { n }) => sum + n, 0),
  };
}

function countsOf(shown: readonly number[], modes: number): number[] {
  const counts = new Array<number>(modes).fill(0);
  for (const mode of shown) counts[mode]!++;
  return counts;
}

/** Total variation distance of counts and the uniform distribution. */
function fromUniform(counts: readonly number[]): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return counts.reduce((sum, count) => sum + Math.abs(count / total - 1 / counts.length), 0) / 2;
}
