import { autocast, type Generator, type Tensor } from "@iqvae/torch";

/**
 * How differently two sets of feature vectors vary: a Gromov–Wasserstein discrepancy between spaces that need not share
 * dimension or axes.
 *
 * Shapes: `zX` `[n, dX]`, `zC` `[m, dC]` → a scalar ≥ 0 in the wider of float32 and the dtype of `zX`. Differentiable once
 * in both. Works outside autocast whatever surrounds it.
 *
 * @param generator randomness of the estimators that draw; the default one when absent
 * @throws RangeError when the shapes do not fit; Error on the CPU when the features hold NaN or infinities. On other devices
 * a NaN goes into the result, since looking would wait for the device.
 */
export type Estimator = (zX: Tensor, zC: Tensor, generator?: Generator) => Tensor;

/** @throws RangeError unless both are filled matrices, of equally many rows where `aligned`. */
export function checkFeatures(name: string, zX: Tensor, zC: Tensor, aligned = false): void {
  const [x, c] = [zX.shape, zC.shape];
  const came = `but got zX [${x.join(", ")}] and zC [${c.join(", ")}]`;
  if (x.length !== 2 || c.length !== 2)
    throw new RangeError(
      `${name} expects features as matrices, zX [n, dX] and zC [m, dC], ${came}; ` +
        "flatten feature maps first, [B, d, h, w] to [B·h·w, d]",
    );
  if (x.includes(0) || c.includes(0)) throw new RangeError(`${name} expects at least one row and one column, ${came}`);
  if (aligned && x[0] !== c[0])
    throw new RangeError(
      `${name} compares row i of zX with row i of zC and expects equally many rows, ${came}; ` +
        "give rows of the same places, or use the sliced or entropic estimator",
    );
}

/** Passes `value` on. @throws Error on the CPU when it is not finite, with the side that is to blame. */
export function checkFinite(name: string, value: Tensor, zX: Tensor, zC: Tensor): Tensor {
  if (value.device !== "cpu" || Number.isFinite(value.item())) return value;
  const broken = Object.entries({ zX, zC }).filter(([, z]) => !z.isfinite().all().item());
  const reason =
    broken.length > 0
      ? `${broken.map(([side]) => side).join(" and ")} ${broken.length > 1 ? "hold" : "holds"} NaN or infinite values; ` +
        "look at the loss and the gradients of the step before"
      : "the features are finite but so large that the result overflows; normalize them";
  throw new Error(`${name} came to ${value.item()}: ${reason}`);
}

/** Features in float32 at least: differences of differences do not survive half precision. */
export function widened(z: Tensor): Tensor {
  return z.dtype === "float64" ? z : z.to("float32");
}

/** Runs `body` outside autocast. */
export function fullPrecision<T>(device: string, body: () => T): T {
  return autocast({ enabled: false, device: device.split(":")[0]! }, body);
}

/**
 * A scalar with a gradient that is already known: its value is `value`, its gradient with respect to each `z` the `gradient`
 * beside it. Autograd then records one product a side instead of the whole computation. Second derivatives are lost.
 */
export function withGradient(value: Tensor, parts: readonly (readonly [z: Tensor, gradient: Tensor])[]): Tensor {
  // s − detach(s) is exactly 0 in floating point, and has the gradient of s.
  const surrogate = parts.map(([z, gradient]) => z.mul(gradient).sum()).reduce((sum, term) => sum.add(term));
  return surrogate.sub(surrogate.detach()).add(value.to(surrogate.dtype));
}
