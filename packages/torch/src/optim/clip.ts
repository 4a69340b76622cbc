import { tensorsOf } from "../given.ts";
import { noGrad } from "../modes.ts";
import { ops } from "../ops.ts";
import { scope } from "../scope.ts";
import type { Tensor } from "../tensor.ts";

/**
 * Clips the joint Euclidean norm of all gradients to `maxNorm`, in two halves so that memory is passed over once: here the norm
 * and the factor are computed, and `optimizer.step({ gradientScale: scale })` multiplies. The gradients themselves stay as they are.
 *
 * @throws RangeError for a bound that is negative, which would turn gradients around, or NaN
 */
export function clipGradNorm(parameters: Iterable<Tensor>, maxNorm: number): { scale: Tensor; norm: Tensor } {
  if (!(maxNorm >= 0)) throw new RangeError(`clipGradNorm: maxNorm must be a number from 0, but is ${maxNorm}`);
  return noGrad(() =>
    scope(() => {
      const gradients = tensorsOf("clipGradNorm: the parameters", parameters).flatMap(
        (parameter) => parameter.grad ?? [],
      );
      const norm = ops.fused.global_norm(gradients);
      const scale = ops.aten.reciprocal(norm.add(1e-6)).mul(maxNorm).clamp(null, 1);
      return { scale, norm };
    }),
  );
}

/**
 * Multiplies all gradients in place so that their joint Euclidean norm is at most `maxNorm`, as PyTorch's `clip_grad_norm_`.
 *
 * @returns the norm that they had
 */
export function clipGradNorm_(parameters: Iterable<Tensor>, maxNorm: number): Tensor {
  return noGrad(() =>
    scope(() => {
      const all = tensorsOf("clipGradNorm_: the parameters", parameters);
      const { scale, norm } = clipGradNorm(all, maxNorm);
      for (const { grad } of all) grad?.mul_(scale.to(grad.dtype));
      return norm;
    }),
  );
}
