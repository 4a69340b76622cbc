import { inferenceMode, ops, scope, type Tensor, tensor } from "@iqvae/torch";
import { toUnitRange } from "../models/iqvae.ts";
import { seededRandom } from "../support/random.ts";
import { forEachBatch, type ImageSet } from "./image-set.ts";
import { laplacianLevel } from "./pyramid.ts";
import { sortedWasserstein1, wasserstein1 } from "./wasserstein.ts";

/** Side of a patch, patches of an image at each level, random directions (Karras et al. 2018, § 5). */
const PATCH = 7;
const PATCHES = 128;
const DIRECTIONS = 512;
/** The coarsest level's side. */
const COARSEST = 16;
/** Figures are given in thousandths, as in the paper. */
const UNIT = 1e3;
/** A spread that rounding alone can have, of pixels within [−2, 2] in float32. */
const FLAT = 1e-6;

const BATCH = 64;
/** Directions whose projections are in JavaScript's memory at a time. */
const DIRECTIONS_AT_ONCE = 16;

/** Distances by level. */
export interface SlicedWasserstein {
  /** From fine to coarse; `side` is that of the level in pixels. */
  readonly levels: readonly { readonly side: number; readonly distance: number }[];
  readonly mean: number;
}

/**
 * Sliced Wasserstein distances of the local patches of sets of images from those of real ones, at each level of a Laplacian
 * pyramid (Karras et al. 2018, § 5): 128 patches of 7 × 7 of each image, channels normalized by their mean and spread over the
 * set, 512 random directions. Times 1,000. They tell whether textures and small structures are alike at a scale, not whether
 * wholes are.
 *
 * Several sets at once share what the real images cost.
 *
 * @param options.seed decides patches and directions
 * @returns as many as there are sets
 * @throws RangeError when the sets differ in count or size, or images are smaller than 16 pixels
 */
export function slicedWasserstein(
  real: ImageSet,
  sets: readonly ImageSet[],
  options: { readonly seed: number; readonly onProgress?: (share: number) => void },
): SlicedWasserstein[] {
  const { seed, onProgress = () => {} } = options;
  for (const set of sets)
    if (real.count !== set.count || real.size !== set.size)
      throw new RangeError(
        `slicedWasserstein takes sets of equal count and size, but got ${real.count} of ${real.size} pixels and ` +
          `${set.count} of ${set.size}; leave images out or resize them.`,
      );
  const sides = levelSides(real.size);
  const levels = sides.map((side, level) =>
    scope(() =>
      inferenceMode(() => {
        const patches = [real, ...sets].map((images, i) => {
          const positions = randomPositions(images.count, side, seededRandom("swd patches", i, seed, level));
          return levelPatches(images, { level, levels: sides.length, side, positions });
        });
        const directions = randomDirections(PATCH * PATCH * 3, DIRECTIONS, seededRandom("swd directions", seed, level));
        const report = (share: number) => onProgress((level + share) / sides.length);
        return patchDistances(patches[0]!, patches.slice(1), directions, report);
      }),
    ),
  );
  return sets.map((_, i) => {
    const distances = levels.map((level, l) => ({ side: sides[l]!, distance: UNIT * level[i]! }));
    return { levels: distances, mean: distances.reduce((sum, { distance }) => sum + distance, 0) / levels.length };
  });
}

function levelSides(size: number): number[] {
  const sides: number[] = [];
  for (let side = size; side >= COARSEST; side /= 2) {
    if (!Number.isInteger(side))
      throw new RangeError(`slicedWasserstein takes images whose side halves down to ${COARSEST} pixels, not ${size}.`);
    sides.push(side);
  }
  if (sides.length === 0)
    throw new RangeError(`slicedWasserstein takes images of at least ${COARSEST} pixels, not ${size}.`);
  return sides;
}

/** Top left corners of patches as pixel numbers `y·side + x`, `PATCHES` for each of `count` images. */
function randomPositions(count: number, side: number, random: () => number): Int32Array {
  const free = side - PATCH + 1;
  const draw = () => Math.floor(random() * free);
  return Int32Array.from({ length: count * PATCHES }, () => draw() * side + draw());
}

/** Unit vectors `[dims, count]`, evenly spread: normal numbers by Box & Muller, normalized. */
function randomDirections(dims: number, count: number, random: () => number): Tensor {
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const values = Float64Array.from({ length: dims * count }, normal);
  return scope(() => {
    const raw = tensor(values, { shape: [dims, count] });
    return raw.div(ops.aten.linalg_vector_norm(raw, 2, [0], true));
  });
}

/** Patches of one level of all images: float32 `[count · patches, 3 · 49]`, channels outside. */
function levelPatches(
  images: ImageSet,
  { level, levels, side, positions }: { level: number; levels: number; side: number; positions: Int32Array },
): Tensor {
  const each = positions.length / images.count;
  const out = ops.aten.empty([images.count * each, 3 * PATCH * PATCH]);
  forEachBatch(images, BATCH, (pixels, first) => {
    const B = pixels.shape[0]!;
    const chosen = laplacianLevel(toUnitRange(pixels).contiguous(), level, levels);
    const corners = tensor(positions.subarray(first * each, (first + B) * each), { shape: [B, each] });
    out.slice(0, first * each, (first + B) * each).copy_(cutPatches(chosen, corners, side));
  });
  return out;
}

/**
 * Cuts 7 × 7 patches.
 *
 * @param planes `[B, C, side, side]`
 * @param corners top left corners as pixel numbers, int32 `[B, n]`
 * @returns `[B·n, C·49]`
 */
export function cutPatches(planes: Tensor, corners: Tensor, side: number): Tensor {
  const [B, C] = planes.shape as [number, number, number, number];
  const n = corners.shape[1]!;
  const offsets = Int32Array.from({ length: PATCH * PATCH }, (_, i) => Math.floor(i / PATCH) * side + (i % PATCH));
  const pixels = corners.to("int64").unsqueeze(-1).add(tensor(offsets).to("int64")).reshape([B, 1, -1]); // [B, 1, n·49]
  const taken = planes.reshape([B, C, side * side]).gather(2, pixels.expand([B, C, n * PATCH * PATCH]));
  return taken
    .reshape([B, C, n, PATCH * PATCH])
    .permute([0, 2, 1, 3])
    .reshape([B * n, C * PATCH * PATCH]);
}

/**
 * Means over directions of the Wasserstein-1 distances of sets of patches from a reference, after the channels of each set are
 * normalized to mean 0 and spread 1; one without spread, as of blank images, is 0 and not rounding that was blown up to 1.
 *
 * @param reference `[N, C·49]`
 * @param sets of the same shape
 * @param directions unit vectors float64 `[C·49, L]`
 */
export function patchDistances(
  reference: Tensor,
  sets: readonly Tensor[],
  directions: Tensor,
  onProgress: (share: number) => void = () => {},
): number[] {
  const L = directions.shape[1]!;
  const projections = [reference, ...sets].map((patches) => projection(patches, directions));
  const sums = sets.map(() => 0);
  for (let first = 0; first < L; first += DIRECTIONS_AT_ONCE) {
    const last = Math.min(first + DIRECTIONS_AT_ONCE, L);
    const parts = scope(() => {
      const [own, ...others] = projections.map((project) => project(first, last)) as [Tensor, ...Tensor[]];
      return reference.device === "cpu" ? wasserstein1OfRows(own, others) : sortedWasserstein1(own, others);
    });
    parts.forEach((distances, i) => {
      for (const distance of distances) sums[i]! += distance;
    });
    onProgress(last / L);
  }
  return sums.map((sum) => sum / L);
}

/** Distances of each row, by set. */
function wasserstein1OfRows(reference: Tensor, samples: readonly Tensor[]): Float64Array[] {
  const [R, N] = reference.shape as [number, number];
  const all = [reference, ...samples].map((numbers) => numbers.read("float32"));
  const distances = samples.map(() => new Float64Array(R));
  for (let row = 0; row < R; row++) {
    const [own, ...others] = all.map((numbers) => numbers.subarray(row * N, (row + 1) * N));
    wasserstein1(own!, others).forEach((distance, i) => {
      distances[i]![row] = distance;
    });
  }
  return distances;
}

/**
 * Projections of normalized patches onto directions `first` to `last`, `[last − first, N]`. Mean and spread of the channels are
 * worked into the directions, so that a gigabyte of patches is neither copied nor passed over again.
 */
function projection(patches: Tensor, directions: Tensor): (first: number, last: number) => Tensor {
  const pixels = PATCH * PATCH;
  const C = patches.shape[1]! / pixels;
  const { scaled, shift } = scope(() => {
    const [means, spreads] = channelMoments(patches, C);
    const each = (x: Tensor) => x.reshape([C, 1]).expand([C, pixels]).reshape([-1, 1]);
    const scaledDown = directions.div(each(spreads));
    return {
      scaled: scaledDown.to("float32").t().contiguous(),
      shift: scaledDown.mul(each(means)).sum([0]).to("float32").unsqueeze(1),
    };
  });
  return (first, last) =>
    scaled
      .slice(0, first, last)
      .mm(patches.t())
      .sub_(shift.slice(0, first, last));
}

/** Rows that are summed in float64 at a time. */
const ROWS = 1 << 16;

/**
 * Mean and spread of each channel over all patches, float64 `[C]`; the spread is infinite where there is none, so that what is divided
 * by it vanishes. Pixels lie within [−2, 2], so sums of squares lose nothing that matters.
 */
function channelMoments(patches: Tensor, C: number): [Tensor, Tensor] {
  const sums = patches.split(ROWS, 0).map((part) =>
    scope(() => {
      const x = part.to("float64").reshape([part.shape[0]!, C, -1]);
      return ops.aten.stack([x.sum([0, 2]), x.square().sum([0, 2])]);
    }),
  );
  const [mean, square] = sums
    .reduce((a, b) => a.add(b))
    .div(patches.numel() / C)
    .unbind() as [Tensor, Tensor];
  const spread = square.sub(mean.square()).clamp_min(0).sqrt();
  return [mean, spread.masked_fill(spread.lt(FLAT), Infinity)];
}
