import { Conv2d, Embedding, GroupNorm, LayerNorm, Linear, Module, type Tensor } from "@iqvae/torch";

/** The small models of tools/golden_nn.py, with the same names. */
export class ImageNet extends Module {
  readonly stem = new Conv2d(3, 8, 3, { padding: "same" });
  readonly norm = new GroupNorm(4, 8, { eps: 1e-6, silu: true });
  readonly down = new Conv2d(8, 6, 4, { stride: 2, padding: 1 });

  forward(x: Tensor): Tensor {
    return this.down.forward(this.norm.forward(this.stem.forward(x)));
  }
}

export class TokenNet extends Module {
  readonly embed = new Embedding(11, 8);
  readonly norm = new LayerNorm(8);
  readonly up = new Linear(8, 16);
  readonly out = new Linear(16, 8, { bias: false });

  forward(ids: Tensor): Tensor {
    const x = this.embed.forward(ids);
    return x.add(this.out.forward(this.up.forward(this.norm.forward(x)).gelu()));
  }
}
