import type { Clock } from "./clock.ts";
import type { FeatureStore } from "./feature-store.ts";
import { featureDistance } from "./image-figures.ts";
import { firstOf, type ImageSet, joinImages } from "./image-set.ts";
import type { Judge } from "./plain-judges.ts";
import type { Figure } from "./run-score.ts";
import type { TrueImages } from "./truths.ts";

/**
 * Sets of equally many images that drawn ones are held against, so that what each stage costs can be told apart. All but the
 * reference are of the very same conditions.
 */
export interface TripleTruth {
  /** Of the training split. */
  readonly reference: ImageSet;
  /** True images of the conditions. */
  readonly truth: ImageSet;
  /** What stage 1 makes of these: what a stage 2 without fault would draw. */
  readonly reconstructed: ImageSet;
  /** Two sets of reconstructions of true images that differ by chance alone; `undefined` where there are not enough images. */
  readonly chance: readonly [ImageSet, ImageSet] | undefined;
  /** Of `samples` drawn images of each condition, one condition after the other, those that count: as many as in the other sets. */
  counted(drawn: ImageSet): ImageSet;
}

/** The same with drawn images. */
export type TripleSets = Omit<TripleTruth, "counted"> & { readonly drawn: ImageSet };

/** What {@link tripleTruth} needs. */
export interface TripleInput {
  readonly truth: TrueImages;
  /** Of each condition. */
  readonly samples: number;
  readonly reconstruct: (images: ImageSet) => ImageSet;
}

/**
 * Where what a condition leaves open can be drawn anew, there are as many true images of each condition as were drawn, and chance is
 * another draw of them. Elsewhere each condition has one true image, so that one drawn image of each counts; and chance is that of
 * equally many images of the training split.
 */
export function tripleTruth({ truth, samples, reconstruct }: TripleInput): TripleTruth {
  const { real, heldOut: images, again } = truth;
  if (real.isOfConditions && real.own !== undefined && again !== undefined) {
    const count = Math.min(real.reference.count, real.own.count);
    const reconstructed = reconstruct(firstOf(real.own, count));
    return {
      reference: firstOf(real.reference, count),
      truth: firstOf(real.own, count),
      reconstructed,
      counted: (drawn) => firstOf(drawn, count),
      chance: [reconstructed, reconstruct(firstOf(again, count))],
    };
  }
  const count = Math.min(real.reference.count, images.count);
  const reference = firstOf(real.reference, count);
  const others = real.own !== undefined && real.own.count >= count ? firstOf(real.own, count) : undefined;
  return {
    reference,
    truth: firstOf(images, count),
    reconstructed: reconstruct(firstOf(images, count)),
    counted: (drawn) => firstOf(firstOfEach(drawn, samples), count),
    chance: others && [reconstruct(reference), reconstruct(others)],
  };
}

/** The first of every `samples` images. */
function firstOfEach({ pixels, size, count }: ImageSet, samples: number): ImageSet {
  const length = size * size * 3;
  const firsts = Array.from({ length: count / samples }, (_, i) => i * samples * length);
  return joinImages(
    firsts.map((at) => pixels.subarray(at, at + length)),
    size,
  );
}

/** Fréchet distances of a judge, each with its floor. */
export interface Triple {
  readonly reconstruction: number;
  readonly gap: number;
  readonly total: number;
  /** What true images score in the place of reconstructed and of drawn ones. */
  readonly floor: number;
  readonly gapFloor: number | undefined;
  /** What of the excess of drawn images over true ones the reconstructions have already; `undefined` where there is no excess. */
  readonly share: number | undefined;
}

/** The triple of a judge. */
export function tripleOf(judge: Judge, sets: TripleSets, features: FeatureStore): Triple {
  const { reference, truth, reconstructed, drawn, chance } = sets;
  const distance = (a: ImageSet, b: ImageSet) => featureDistance(features.of(judge, a), features.of(judge, b));
  const reconstruction = distance(reference, reconstructed);
  const total = distance(reference, drawn);
  const floor = distance(reference, truth);
  const gap = distance(reconstructed, drawn);
  const gapFloor = chance && distance(...chance);
  const share = total > floor ? (reconstruction - floor) / (total - floor) : undefined;
  return { reconstruction, gap, total, floor, gapFloor, share };
}

/** What the keys of a triple's figures begin with; the name of the judge stands at their end. */
export const TRIPLE = "triple.";

/** The triples of several judges as figures: always all of a judge together. */
export async function tripleFigures(
  sets: TripleSets,
  judges: readonly Judge[],
  { clock, features }: { readonly clock: Clock; readonly features: FeatureStore },
): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const judge of judges) {
    const triple = await clock.time(`triple ${judge.name}`, () => tripleOf(judge, sets, features));
    const { reconstruction, gap, total, floor, gapFloor, share } = triple;
    const figure = (key: string, label: string, value: number, real: number | null, better: Figure["better"]) => ({
      key: `${TRIPLE}${key}.${judge.name}`,
      label: `${label} (${judge.name})`,
      value,
      real,
      better,
    });
    figures.push(
      figure("reconstruction", "Fréchet distance, reconstructions", reconstruction, floor, "lower"),
      figure("gap", "Fréchet distance, auto-regressive gap", gap, gapFloor ?? null, "lower"),
      figure("total", "Fréchet distance, total", total, floor, "lower"),
      ...(share === undefined ? [] : [figure("stage1Share", "stage 1's share of the excess", share, null, null)]),
    );
  }
  return figures;
}
