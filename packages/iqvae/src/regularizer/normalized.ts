import { scope, type Tensor } from "@iqvae/torch";
import { checkFeatures, type Estimator } from "./estimator.ts";

/**
 * Gromov–Wasserstein freed of its bias by what each side costs against itself (Bunne et al. 2019, "Learning generative
 * models across incomparable spaces"):
 *
 *     2·GW(x, c) − GW(x, x') − GW(c, c')
 *
 * with `x`, `x'` the first and second half of the rows of `zX`, and `c`, `c'` those of `zC`; the middle row of an odd number
 * is left out. Instead of `2·GW(x, c)` it takes `GW(x, c) + GW(x', c')`: the same expectation, from all rows. Can be
 * negative. The halves must be independent draws: rows in random order, and an estimator that finds the coupling itself
 * (for {@link paired}, halves have no partners).
 */
export function normalized(estimator: Estimator): Estimator {
  return (zX, zC, generator) => {
    checkFeatures("normalized()", zX, zC);
    const [n, m] = [zX.shape[0]!, zC.shape[0]!];
    if (n < 2 || m < 2)
      throw new RangeError(`normalized() splits each side into two halves, but got ${n} and ${m} rows; give 2 or more`);
    return scope(() => {
      const [x, otherX] = halves(zX);
      const [c, otherC] = halves(zC);
      return estimator(x, c, generator)
        .add(estimator(otherX, otherC, generator))
        .sub(estimator(x, otherX, generator))
        .sub(estimator(c, otherC, generator));
    });
  };
}

function halves(z: Tensor): [Tensor, Tensor] {
  const half = Math.floor(z.shape[0]! / 2);
  return [z.slice(0, 0, half), z.slice(0, z.shape[0]! - half)];
}
