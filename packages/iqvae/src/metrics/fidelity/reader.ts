import { Conv2d, GroupNorm, Module, ops, type Tensor } from "@iqvae/torch";

const GROUPS = 8;

class Block extends Module {
  readonly conv: Conv2d;
  readonly norm: GroupNorm;

  constructor(inputs: number, outputs: number, stride = 1) {
    super();
    this.conv = new Conv2d(inputs, outputs, 3, { stride, padding: 1 });
    this.norm = new GroupNorm(GROUPS, outputs, { eps: 1e-6, silu: true });
  }

  forward(x: Tensor): Tensor {
    return this.norm.forward(this.conv.forward(x));
  }
}

/**
 * A small network that reads the condition out of an image, planes `[B, 3, H, W]` → logits `[B, C, H, W]`: an hourglass with a
 * bridge at each level (Ronneberger et al. 2015).
 */
export class ConditionReader extends Module {
  readonly down: Block[];
  readonly bottom: Block;
  readonly up: Block[];
  readonly head: Conv2d;

  /**
   * @param outputs channels of the logits: see `Condition.outputChannels`
   * @param widths channels of each level; each level after the first halves the grid
   */
  constructor(outputs: number, widths: readonly number[]) {
    super();
    this.down = widths.map((width, i) => new Block(i === 0 ? 3 : widths[i - 1]!, width, i === 0 ? 1 : 2));
    this.bottom = new Block(widths.at(-1)!, widths.at(-1)!);
    this.up = widths.slice(0, -1).map((width, i) => new Block(width + widths[i + 1]!, width));
    this.head = new Conv2d(widths[0]!, outputs, 3, { padding: "same" });
  }

  forward(planes: Tensor): Tensor {
    const bridges: Tensor[] = [];
    let x = planes;
    for (const block of this.down) {
      x = block.forward(x);
      bridges.push(x);
    }
    x = this.bottom.forward(x);
    for (let level = this.up.length - 1; level >= 0; level--) {
      const bridge = bridges[level]!;
      const wide = ops.aten.upsample_nearest2d(x, bridge.shape.slice(2)).to(bridge.dtype);
      x = this.up[level]!.forward(ops.aten.cat([bridge, wide], 1));
    }
    return this.head.forward(x);
  }
}
