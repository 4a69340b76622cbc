import { ops, scope, type Tensor } from "@iqvae/torch";

/** How much of the drawn images lies among the real ones, and how much of the real ones among the drawn. */
export interface PrecisionRecall {
  readonly precision: number;
  readonly recall: number;
}

/** Neighbors that make a ball; 3 in the paper. */
const NEIGHBORS = 3;
/** Rows of a block of distances. */
const BLOCK = 1024;

/**
 * Improved precision and recall (Kynkäänniemi et al. 2019, eq. 1 and 2): each set is thought to fill the balls around its
 * features that reach to the third nearest neighbor; precision is the share of drawn features in the real set's balls,
 * recall the share of real features in the drawn set's.
 *
 * @param real features `[N, D]`
 * @param drawn features `[M, D]`; the paper takes equally many
 * @param neighbors `k`
 * @throws RangeError when a set has no `k`-th neighbor, or features that are not finite
 */
export function precisionRecall(real: Tensor, drawn: Tensor, neighbors = NEIGHBORS): PrecisionRecall {
  for (const [name, features] of Object.entries({ real, drawn })) {
    if (features.ndim !== 2 || features.shape[0]! <= neighbors || features.shape[1] !== real.shape[1])
      throw new RangeError(
        `precisionRecall takes two sets of features [N, D] with more than ${neighbors} rows, but ${name} is ${features}.`,
      );
    // A distance that is not a number is never the smaller one: nothing would lie within anything.
    if (scope(() => features.isfinite().all().item()) === 0)
      throw new RangeError(
        `precisionRecall: the features of ${name} are not finite; the network or the images are broken.`,
      );
  }
  return scope(() => {
    const [r, d] = [real.to("float64"), drawn.to("float64")];
    return { precision: shareInside(d, r, neighbors), recall: shareInside(r, d, neighbors) };
  });
}

/** The share of `points` that lie in a ball of `manifold`. */
function shareInside(points: Tensor, manifold: Tensor, neighbors: number): number {
  return scope(() => {
    const radii = ops.aten.cat(
      blocks(manifold).map((block) =>
        // The nearest of all is the point itself.
        scope(() =>
          squaredDistances(block, manifold)
            .topk(neighbors + 1, 1, false)[0]
            .select(1, neighbors),
        ),
      ),
    );
    const inside = blocks(points).map((block) =>
      scope(() => squaredDistances(block, manifold).le(radii).any(1).sum().item()),
    );
    return inside.reduce((sum, count) => sum + count, 0) / points.shape[0]!;
  });
}

function blocks(rows: Tensor): Tensor[] {
  return rows.split(BLOCK, 0);
}

/** `[n, D]` and `[m, D]` → `[n, m]`, in float64, where the expanded square loses nothing that matters. */
function squaredDistances(a: Tensor, b: Tensor): Tensor {
  const squares = (x: Tensor) => x.square().sum([1]);
  return squares(a).unsqueeze(1).add(squares(b)).sub(a.mm(b.t()), { alpha: 2 }).clamp_min_(0);
}
