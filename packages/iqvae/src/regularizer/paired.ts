import { scope } from "@iqvae/torch";
import { type Distance, distances } from "./distances.ts";
import { checkFeatures, checkFinite, type Estimator, fullPrecision, widened } from "./estimator.ts";

export interface PairedOptions {
  /** Default `cosine`. */
  readonly distance?: Distance;
}

/**
 * Gromov–Wasserstein with the coupling given: row `i` of one side belongs to row `i` of the other, `T = I/n`, so
 *
 *     mean over i, k of (D_X(i,k) − D_C(i,k))²
 *
 * An upper bound of the Gromov–Wasserstein discrepancy for uniform weights, which takes the best coupling. `O(n²d)`.
 * Needs `n = m`. Invariant under what keeps all distances of a side.
 */
export function paired({ distance = "cosine" }: PairedOptions = {}): Estimator {
  return (zX, zC) => {
    checkFeatures("paired()", zX, zC, true);
    return scope(() =>
      fullPrecision(zX.device, () => {
        const difference = distances(widened(zX), distance).sub(distances(widened(zC), distance));
        return checkFinite("paired()", difference.square().mean(), zX, zC);
      }),
    );
  };
}
