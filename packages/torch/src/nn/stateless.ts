import { expectOptions } from "../given.ts";
import { ops } from "../ops.ts";
import type { Tensor } from "../tensor.ts";
import { Module } from "./module.ts";

type Pair = readonly [number, number];

/** `max(x, 0)`. */
export class ReLU extends Module {
  forward(x: Tensor): Tensor {
    return x.relu();
  }
}

/** `x·Φ(x)`, exact or by the hyperbolic tangent. */
export class GELU extends Module {
  readonly approximate: "none" | "tanh";

  constructor(options: { approximate?: "none" | "tanh" } = {}) {
    super();
    expectOptions("GELU", options, { approximate: "none" });
    this.approximate = options.approximate ?? "none";
  }

  forward(x: Tensor): Tensor {
    return ops.aten.gelu(x, { approximate: this.approximate });
  }
}

/** `x·sigmoid(x)`. */
export class SiLU extends Module {
  forward(x: Tensor): Tensor {
    return ops.aten.silu(x);
  }
}

/** `1 / (1 + e⁻ˣ)`. */
export class Sigmoid extends Module {
  forward(x: Tensor): Tensor {
    return x.sigmoid();
  }
}

export class Tanh extends Module {
  forward(x: Tensor): Tensor {
    return x.tanh();
  }
}

/** Joins all dimensions but the first: `[B, …] → [B, n]`. */
export class Flatten extends Module {
  forward(x: Tensor): Tensor {
    return x.flatten(1);
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
    expectOptions(new.target.name, options, { stride: window, padding: 0 });
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
