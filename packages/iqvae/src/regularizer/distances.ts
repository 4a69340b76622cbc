import type { Tensor } from "@iqvae/torch";

/**
 * What "far apart" means within one domain: `cosine` is `1 − cos`, in 0 … 2, blind to the length of the vectors;
 * `sqeuclidean` and `euclidean` are in the units of the features.
 */
export const DISTANCES = ["cosine", "sqeuclidean", "euclidean"] as const;
export type Distance = (typeof DISTANCES)[number];

/**
 * Distances between all rows of `z`: `[n, d]` → `[n, n]`, symmetric. All gradients are finite: where `euclidean` or the
 * direction of a vector has none (equal points, a zero vector) it is 0.
 */
export function distances(z: Tensor, distance: Distance): Tensor {
  if (distance === "cosine") {
    const unit = unitRows(z);
    return unit.matmul(unit.t()).rsub(1);
  }
  // Centered, since |a|² + |b|² − 2ab loses as many digits as the points are far from the origin; the squared lengths are
  // read from the product itself, so that the diagonal is exactly 0.
  const centered = z.sub(z.mean([0], { keepdim: true }));
  const products = centered.matmul(centered.t());
  const lengths = products.diagonal();
  const squared = lengths.unsqueeze(0).add(lengths.unsqueeze(1)).sub(products.mul(2));
  // clamp passes no gradient below its bound: the infinite slope of the root at 0 never comes into play.
  return distance === "sqeuclidean" ? squared.clamp_min(0) : squared.clamp_min(1e-24).sqrt();
}

/** Rows, the last dimension of `z`, brought to length 1; a zero row stays zero. */
export function unitRows(z: Tensor): Tensor {
  return z.div(z.norm(2, [-1], true).clamp_min(1e-12));
}
