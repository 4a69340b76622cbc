import {
  ABOVE_ZERO,
  COUNT,
  expectKind,
  expectOptions,
  FLAG,
  kindOf,
  NUMBER,
  oneOf,
  SIZE,
  sides,
  WHOLE,
} from "../given.ts";
import { ops } from "../ops.ts";
import type { Tensor } from "../tensor.ts";
import { Module } from "./module.ts";

type Pair = readonly [number, number];

const [COUNTS, SIZES] = [sides(COUNT), sides(SIZE)];

/** Layers without settings: what they were given would do nothing. */
abstract class Settled extends Module {
  constructor(...surplus: readonly never[]) {
    super();
    if (surplus.length > 0)
      throw new TypeError(`${new.target.name} takes no arguments, but got ${surplus.map(kindOf).join(", ")}`);
  }
}

/** `max(x, 0)`. */
export class ReLU extends Settled {
  forward(x: Tensor): Tensor {
    return ops.aten.relu(x);
  }
}

/** `x` where it is positive, and a small part of it elsewhere (Maas et al. 2013). */
export class LeakyReLU extends Module {
  readonly negativeSlope: number;

  /** @param negativeSlope default 0.01 */
  constructor(negativeSlope = 0.01) {
    super();
    expectKind("LeakyReLU", { negativeSlope }, NUMBER);
    this.negativeSlope = negativeSlope;
  }

  forward(x: Tensor): Tensor {
    return ops.aten.leaky_relu(x, this.negativeSlope);
  }
}

/** `x·Φ(x)`, exact or by the hyperbolic tangent. */
export class GELU extends Module {
  readonly approximate: "none" | "tanh";

  constructor(options: { approximate?: "none" | "tanh" } = {}) {
    super();
    expectOptions("GELU", options, { approximate: oneOf(["none", "tanh"]) });
    this.approximate = options.approximate ?? "none";
  }

  forward(x: Tensor): Tensor {
    return ops.aten.gelu(x, { approximate: this.approximate });
  }
}

/** `x·sigmoid(x)`. */
export class SiLU extends Settled {
  forward(x: Tensor): Tensor {
    return ops.aten.silu(x);
  }
}

/** `1 / (1 + e⁻ˣ)`. */
export class Sigmoid extends Settled {
  forward(x: Tensor): Tensor {
    return ops.aten.sigmoid(x);
  }
}

export class Tanh extends Settled {
  forward(x: Tensor): Tensor {
    return ops.aten.tanh(x);
  }
}

/** Joins neighboring dimensions, all but the first unless told otherwise: `[B, …] → [B, n]`. */
export class Flatten extends Module {
  readonly startDim: number;
  readonly endDim: number;

  /**
   * @param startDim the first to be joined, default 1
   * @param endDim the last, default −1
   */
  constructor(startDim = 1, endDim = -1) {
    super();
    expectKind("Flatten", { startDim, endDim }, WHOLE);
    [this.startDim, this.endDim] = [startDim, endDim];
  }

  forward(x: Tensor): Tensor {
    return ops.aten.flatten(x, this.startDim, this.endDim);
  }
}

/** What pooling can be told besides its window. */
export interface PoolOptions {
  /** Default: the window. */
  readonly stride?: number | Pair;
  /** Default 0. */
  readonly padding?: number | Pair;
}

abstract class Pool2d extends Module {
  readonly window: number | Pair;
  readonly stride: number | Pair;
  readonly padding: number | Pair;

  constructor(window: number | Pair, options: PoolOptions = {}) {
    super();
    expectKind(new.target.name, { window }, COUNTS);
    expectOptions(new.target.name, options, { stride: COUNTS, padding: SIZES });
    const { stride = window, padding = 0 } = options;
    [this.window, this.stride, this.padding] = [window, stride, padding];
  }
}

/** The largest value of each window: `[B, C, H, W] → [B, C, H′, W′]`. */
export class MaxPool2d extends Pool2d {
  forward(x: Tensor): Tensor {
    return ops.aten.max_pool2d(x, this.window, this.stride, this.padding);
  }
}

/** The mean of each window: `[B, C, H, W] → [B, C, H′, W′]`. Zeros of the padding count, as in PyTorch. */
export class AvgPool2d extends Pool2d {
  forward(x: Tensor): Tensor {
    return ops.aten.avg_pool2d(x, this.window, this.stride, this.padding);
  }
}

/** The means of `size` parts of the plane, whatever its own size: `[B, C, H, W] → [B, C, size, size]`. */
export class AdaptiveAvgPool2d extends Module {
  readonly size: number | Pair;

  /** @param size one number for a square, or height and width */
  constructor(size: number | Pair) {
    super();
    expectKind("AdaptiveAvgPool2d", { size }, SIZES);
    this.size = size;
  }

  forward(x: Tensor): Tensor {
    return ops.aten.adaptive_avg_pool2d(x, this.size);
  }
}

const UPSAMPLE_OPTIONS = { scaleFactor: ABOVE_ZERO, mode: oneOf(["nearest", "bilinear"]), alignCorners: FLAG };

/** Larger planes, by the nearest value or by what lies between: `[B, C, H, W] → [B, C, sH, sW]`. */
export class Upsample extends Module {
  readonly scaleFactor: number;
  readonly mode: "nearest" | "bilinear";
  readonly alignCorners: boolean;

  /**
   * @param options.mode default `"nearest"`
   * @param options.alignCorners whether, for `"bilinear"`, corners lie on corners instead of edges on edges; default false
   */
  constructor(options: { scaleFactor: number; mode?: "nearest" | "bilinear"; alignCorners?: boolean }) {
    super();
    expectOptions("Upsample", options, UPSAMPLE_OPTIONS);
    const { scaleFactor, mode = "nearest", alignCorners = false } = options;
    expectKind("Upsample", { scaleFactor }, ABOVE_ZERO);
    if (alignCorners && mode !== "bilinear")
      throw new TypeError(`Upsample: alignCorners is for mode "bilinear", but the mode is "${mode}"`);
    [this.scaleFactor, this.mode, this.alignCorners] = [scaleFactor, mode, alignCorners];
  }

  forward(x: Tensor): Tensor {
    const factors = [this.scaleFactor, this.scaleFactor];
    return this.mode === "nearest"
      ? ops.aten.upsample_nearest2d(x, null, factors)
      : ops.aten.upsample_bilinear2d(x, null, this.alignCorners, factors);
  }
}
