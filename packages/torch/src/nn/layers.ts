import { expectKind, expectOptions, FLAG, NUMBER, SHARE, SIZE } from "../given.ts";
import { ops } from "../ops.ts";
import type { Tensor } from "../tensor.ts";
import { Module } from "./module.ts";
import { parameter, uniformByFanIn } from "./parameter.ts";

/** `y = x Wᵀ + b`: `[…, in] → […, out]`. */
export class Linear extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | null;

  constructor(inputs: number, outputs: number, options: { bias?: boolean } = {}) {
    super();
    expectKind("Linear", { inputs, outputs }, SIZE);
    expectOptions("Linear", options, { bias: FLAG });
    this.weight = parameter([outputs, inputs], uniformByFanIn(inputs));
    this.bias = (options.bias ?? true) ? parameter([outputs], uniformByFanIn(inputs)) : null;
  }

  forward(x: Tensor): Tensor {
    return ops.aten.linear(x, this.weight, this.bias);
  }
}

/** Rows of a table: integer tensor `[…] → […, width]`. */
export class Embedding extends Module {
  readonly weight: Tensor;

  /** @param options.std deviation of the normal distribution that the table starts with; default 1 */
  constructor(count: number, width: number, options: { std?: number } = {}) {
    super();
    expectKind("Embedding", { count, width }, SIZE);
    expectOptions("Embedding", options, { std: NUMBER });
    this.weight = parameter([count, width], (tensor) => tensor.normal_(0, options.std ?? 1));
  }

  forward(ids: Tensor): Tensor {
    return ops.aten.embedding(this.weight, ids);
  }
}

/** In training, zeroes values with probability `p` and divides the others by `1 − p`; after `eval()` lets all through. */
export class Dropout extends Module {
  readonly p: number;

  /** @param p in [0, 1], default 0.5 */
  constructor(p = 0.5) {
    super();
    expectKind("Dropout", { p }, SHARE);
    this.p = p;
  }

  forward(x: Tensor): Tensor {
    return this.training ? dropped(x, this.p) : x;
  }
}

/** `x` with a share `p` of its values zeroed, up to all of them, and the others divided by `1 − p`. */
export function dropped(x: Tensor, p: number): Tensor {
  return p === 1 ? x.mul(0) : dropoutAdd(x, null, p);
}

/**
 * Dropout of `x` (Srivastava et al. 2014) and the addition to what passes by it: values are zeroed with probability `p`, the
 * others divided by `1 − p`. One fused kernel on the CPU, in float32 or bfloat16 with a float32 residual, whose masks follow
 * from the default generator and not from the number of threads.
 *
 * @param residual of the shape of `x`, or `null`
 * @param p in `[0, 1)`; with 0 no random number is drawn
 * @throws RangeError for another `p`; Error for a residual of another shape
 */
export function dropoutAdd(x: Tensor, residual: Tensor | null, p: number): Tensor {
  if (typeof p !== "number" || !(p >= 0 && p < 1))
    throw new RangeError(`dropoutAdd: the share to drop must be in [0, 1), but is ${p}`);
  if (p > 0) return ops.fused.dropout_add(x, residual, p);
  return residual === null ? x : residual.add(x);
}
