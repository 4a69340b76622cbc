import { ops, scope, type Tensor } from "@iqvae/torch";
import type { FeatureMoments } from "./moments.ts";

/**
 * Squared Fréchet distance of two normal distributions (Dowson & Landau 1982; Heusel et al. 2017, eq. 6):
 * `‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2(Σ₁Σ₂)^½)`.
 *
 * The last trace is that of `(Σ₁^½ Σ₂ Σ₁^½)^½`, whose argument is symmetric and has the eigenvalues of `Σ₁Σ₂`: two symmetric
 * eigenvalue problems stay real and exact where covariances are singular, and a general matrix square root does not.
 *
 * It falls with the number of images even between equal distributions: compare figures of equal counts only.
 *
 * @returns at least 0
 * @throws RangeError when the dimensions differ or a moment is not finite
 */
export function frechetDistance(a: FeatureMoments, b: FeatureMoments): number {
  if (a.mean.shape.join() !== b.mean.shape.join())
    throw new RangeError(
      `frechetDistance got features of ${a.mean.shape[0]} and of ${b.mean.shape[0]} dimensions; use one network for both.`,
    );
  const value = scope(() => {
    const means = a.mean.sub(b.mean).square().sum();
    const [values, vectors] = ops.aten.linalg_eigh(finite(a.covariance));
    const root = vectors.mul(values.clamp_min(0).sqrt()).mm(vectors.t());
    const inner = root.mm(finite(b.covariance)).mm(root);
    const eigenvalues = ops.aten.linalg_eigvalsh(inner.add(inner.t()).div(2));
    const cross = eigenvalues.clamp_min(0).sqrt().sum();
    return means.add(a.covariance.trace()).add(b.covariance.trace()).sub(cross, { alpha: 2 }).item();
  });
  // Rounding may leave an equal pair a hair below zero.
  return Math.max(0, value);
}

function finite(covariance: Tensor): Tensor {
  if (covariance.isfinite().all().item() === 0)
    throw new RangeError("frechetDistance got features that are not finite; the network or the images are broken.");
  return covariance;
}
