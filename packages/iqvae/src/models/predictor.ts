import { LayerNorm, Linear, Module, noGrad, ops, parameter, type Tensor } from "@iqvae/torch";
import { Block } from "./transformer.ts";

/** Its size: small beside the auto-encoders, since it only has to say what is easy to predict. */
const WIDTH = 64;
const HEADS = 4;
const LAYERS = 2;
const INITIAL_STD = 0.02;

/** Numbers of feature vectors and their dimensions. */
export interface PredictorShape {
  readonly conditionPlaces: number;
  readonly imagePlaces: number;
  readonly conditionDim: number;
  readonly imageDim: number;
}

/**
 * A small causal transformer that predicts the features of an image, place by place in raster order, from all features of the
 * condition and from those of the image that come before. It is trained beside the auto-encoders; see {@link surprise}.
 */
export class FeaturePredictor extends Module {
  readonly conditionIn: Linear;
  readonly imageIn: Linear;
  readonly positions: Tensor;
  readonly blocks: Block[];
  readonly norm: LayerNorm;
  readonly head: Linear;

  constructor({ conditionPlaces, imagePlaces, conditionDim, imageDim }: PredictorShape) {
    super();
    this.conditionIn = new Linear(conditionDim, WIDTH);
    this.imageIn = new Linear(imageDim, WIDTH);
    this.positions = parameter([conditionPlaces + imagePlaces - 1, WIDTH], (table) => table.normal_(0, INITIAL_STD));
    this.blocks = Array.from({ length: LAYERS }, () => new Block({ width: WIDTH, heads: HEADS, dropout: 0 }));
    this.norm = new LayerNorm(WIDTH);
    this.head = new Linear(WIDTH, imageDim);
    noGrad(() => {
      // Without this, attention begins by looking at whatever its random matrices like.
      for (const { attention, expand, contract } of this.blocks)
        for (const layer of [attention.qkv, attention.project, expand, contract]) layer.weight.normal_(0, INITIAL_STD);
    });
  }

  /**
   * @param condition `[B, m, d′]`
   * @param image `[B, n, d]`; the last is not looked at
   * @returns predictions `[B, n, d]`: row `t` from the condition and the rows of `image` before `t`
   */
  forward(condition: Tensor, image: Tensor): Tensor {
    const [m, n] = [condition.shape[1]!, image.shape[1]!];
    const sequence = [this.conditionIn.forward(condition), this.imageIn.forward(image.slice(1, 0, n - 1))];
    const embedded = ops.aten.cat(sequence, 1).add(this.positions);
    const last = this.blocks.length - 1;
    const hidden = this.blocks.reduce((x, block, i) => block.forward(x, true, i === last ? m - 1 : 0), embedded);
    return this.head.forward(this.norm.forward(hidden));
  }

  /**
   * How badly the image is predicted: the mean of `1 − cos` between features and predictions. Its gradient goes to the predictor
   * and to the features of the image, both as what is predicted and as what it is predicted from; those of the condition are
   * constants.
   *
   * @param image `[B, d, h, w]`
   * @param condition `[B, d′, h′, w′]`, on any grid
   * @returns a scalar, float32, in 0 … 2
   */
  surprise(image: Tensor, condition: Tensor): Tensor {
    const [x, c] = [image, condition.detach()].map((map) => map.flatten(2).transpose(1, 2));
    const predicted = this.forward(c!, x!).to("float32");
    return ops.aten.cosine_similarity(predicted, x!.to("float32"), -1).mean().rsub(1);
  }
}
