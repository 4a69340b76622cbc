import { buffer, noGrad, ops, scope, type Tensor, tensor, unscoped } from "@iqvae/torch";
import { toUnitRange } from "../models/iqvae.ts";
import type { FeatureLayer, FeatureNetwork } from "./network.ts";
import { type FixedWeights, foldBatchNorm } from "./weights.ts";

/** Smaller images are enlarged to the first, larger ones reduced to the second, at which the network was trained [O]. */
const SIDES = { least: 96, most: 224 } as const;
const BATCH_NORM_EPS = 1e-3;
const MEAN = [0.485, 0.456, 0.406];
const DEVIATION = [0.229, 0.224, 0.225];

interface Stage {
  readonly repeats: number;
  readonly kernel: number;
  /** Of its first block. */
  readonly stride: number;
  readonly expansion: number;
  readonly channels: number;
}

/** EfficientNet-B0 (Tan & Le 2019, table 1) without squeeze-and-excitation, which is EfficientNet-Lite0. */
const STAGES: readonly Stage[] = [
  { repeats: 1, kernel: 3, stride: 1, expansion: 1, channels: 16 },
  { repeats: 2, kernel: 3, stride: 2, expansion: 6, channels: 24 },
  { repeats: 2, kernel: 5, stride: 2, expansion: 6, channels: 40 },
  { repeats: 3, kernel: 3, stride: 2, expansion: 6, channels: 80 },
  { repeats: 3, kernel: 5, stride: 1, expansion: 6, channels: 112 },
  { repeats: 4, kernel: 5, stride: 2, expansion: 6, channels: 192 },
  { repeats: 1, kernel: 3, stride: 1, expansion: 6, channels: 320 },
];
const STEM = 32;
const HEAD = 1280;

/** The features that distributions can be compared by: channels after stage 4, stage 5 and the head, means over positions. */
export const LITE0_FEATURES = [80, 112, 1280] as const;
export type Lite0Features = (typeof LITE0_FEATURES)[number];
/** Stages that give each of them; the head comes after all. */
const LAST_STAGE: Readonly<Record<Lite0Features, number>> = { 80: 4, 112: 5, 1280: STAGES.length };
/** Stages whose results the perceptual distance looks at: the last of each size. */
const LAYERS = [1, 2, 3, 5, 7];

/** A convolution and its batch normalization, under the names of efficientnet-lite-pytorch. */
interface Convolution {
  readonly weight: string;
  readonly norm: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly kernel: number;
  readonly stride: number;
  /** Each channel by itself. */
  readonly depthwise: boolean;
  /** Whether ReLU6 follows. */
  readonly bounded: boolean;
}

interface Block {
  readonly convolutions: readonly Convolution[];
  /** Whether what went in is added. */
  readonly residual: boolean;
}

const plain = { kernel: 1, stride: 1, depthwise: false, bounded: true } as const;

function layOut(): Block[][] {
  let [number, inputs] = [0, STEM];
  return STAGES.map(({ repeats, kernel, stride, expansion, channels }) =>
    Array.from({ length: repeats }, (_, i) => {
      const name = (part: string) => `_blocks.${number}._${part}`;
      const [wide, by] = [inputs * expansion, i === 0 ? stride : 1];
      const expand = { ...plain, weight: name("expand_conv"), norm: name("bn0"), inputs, outputs: wide };
      const convolutions: Convolution[] = [
        ...(expansion === 1 ? [] : [expand]),
        {
          weight: name("depthwise_conv"),
          norm: name("bn1"),
          inputs: wide,
          outputs: wide,
          kernel,
          stride: by,
          depthwise: true,
          bounded: true,
        },
        { ...plain, weight: name("project_conv"), norm: name("bn2"), inputs: wide, outputs: channels, bounded: false },
      ];
      const residual = by === 1 && inputs === channels;
      number += 1;
      inputs = channels;
      return { convolutions, residual };
    }),
  );
}

const LAYOUT = layOut();
const STEM_CONVOLUTION: Convolution = {
  ...plain,
  weight: "_conv_stem",
  norm: "_bn0",
  inputs: 3,
  outputs: STEM,
  kernel: 3,
  stride: 2,
};
const HEAD_CONVOLUTION: Convolution = {
  ...plain,
  weight: "_conv_head",
  norm: "_bn1",
  inputs: STAGES.at(-1)!.channels,
  outputs: HEAD,
};
const CONVOLUTIONS = [STEM_CONVOLUTION, ...LAYOUT.flat().flatMap(({ convolutions }) => convolutions), HEAD_CONVOLUTION];

/** Every weight that is read, by the name that efficientnet-lite-pytorch gives it. */
export const LITE0_SHAPES: ReadonlyMap<string, readonly number[]> = new Map(
  CONVOLUTIONS.flatMap(({ weight, norm, inputs, outputs, kernel, depthwise }): [string, readonly number[]][] => [
    [`${weight}.weight`, [outputs, depthwise ? 1 : inputs, kernel, kernel]],
    ...["weight", "bias", "running_mean", "running_var"].map((part): [string, readonly number[]] => [
      `${norm}.${part}`,
      [outputs],
    ]),
  ]),
);

/**
 * EfficientNet-Lite0, trained on ImageNet, as a feature network: a judge for photographs, which nothing here is trained on.
 *
 * @param features channels that {@link FeatureNetwork.features} has; the fewer, the fewer images a Fréchet distance takes
 */
export function efficientNetLite0({ tensors, digest }: FixedWeights, features: Lite0Features = 112): FeatureNetwork {
  const network = new Lite0(tensors);
  return {
    name: features === 112 ? "efficientnet-lite0" : `efficientnet-lite0-${features}`,
    digest,
    dims: features,
    features: (pixels) =>
      scope(() => {
        const last = network.stages(toUnitRange(pixels), LAST_STAGE[features]).at(-1)!;
        const map = features === HEAD ? network.head(last) : last;
        return map.to("float32").mean([2, 3]);
      }),
    layers: (planes) => {
      const stages = network.stages(planes, STAGES.length);
      return LAYERS.map((stage): FeatureLayer => ({ activation: stages[stage - 1]!, weights: null }));
    },
  };
}

class Lite0 {
  readonly #kernels: ReadonlyMap<string, { readonly weight: Tensor; readonly bias: Tensor }>;
  readonly #mean = buffer(() => tensor(MEAN).mul(2).sub(1).reshape([1, 3, 1, 1]));
  readonly #deviation = buffer(() => tensor(DEVIATION).mul(2).reshape([1, 3, 1, 1]));

  constructor(tensors: ReadonlyMap<string, Tensor>) {
    const kernelOf = ({ weight, norm }: Convolution) =>
      [weight, foldBatchNorm(tensors, `${weight}.weight`, norm, BATCH_NORM_EPS)] as const;
    this.#kernels = unscoped(() => scope(() => noGrad(() => new Map(CONVOLUTIONS.map(kernelOf)))));
  }

  /** Planes `[B, 3, H, W]` in [−1, 1] → what the first `count` stages give. */
  stages(planes: Tensor, count: number): Tensor[] {
    let x = this.#conv(resized(planes).sub(this.#mean).div(this.#deviation), STEM_CONVOLUTION);
    return LAYOUT.slice(0, count).map((blocks) => {
      for (const { convolutions, residual } of blocks) {
        const y = convolutions.reduce((z, convolution) => this.#conv(z, convolution), x);
        x = residual ? x.add(y) : y;
      }
      return x;
    });
  }

  /** What the last stage gives → `[B, 1280, h, w]`. */
  head(x: Tensor): Tensor {
    return this.#conv(x, HEAD_CONVOLUTION);
  }

  #conv(x: Tensor, { weight: name, kernel, stride, depthwise, bounded, inputs }: Convolution): Tensor {
    const { weight, bias } = this.#kernels.get(name)!;
    const [[top, bottom], [left, right]] = [x.shape[2]!, x.shape[3]!].map((side) => same(side, kernel, stride)) as [
      Padding,
      Padding,
    ];
    // A convolution pads both ends alike; where TensorFlow does not, the zeros are put there before.
    const even = top === bottom && left === right;
    const padded = even ? x : ops.aten.constant_pad_nd(x, [left, right, top, bottom]);
    const padding = even ? [top, left] : [0, 0];
    const y = ops.aten.conv2d(padded, weight, bias, [stride, stride], padding, [1, 1], depthwise ? inputs : 1);
    return bounded ? ops.aten.hardtanh_(y, 0, 6) : y; // ReLU6
  }
}

type Padding = readonly [before: number, after: number];

/** TensorFlow's padding "SAME": ⌈side / stride⌉ places come out, and of an odd number of zeros one more is behind. */
function same(side: number, kernel: number, stride: number): Padding {
  const zeros = Math.max((Math.ceil(side / stride) - 1) * stride + kernel - side, 0);
  return [Math.floor(zeros / 2), Math.ceil(zeros / 2)];
}

function resized(planes: Tensor): Tensor {
  const sides = planes.shape.slice(2);
  const scale = Math.max(SIDES.least / Math.min(...sides), Math.min(1, SIDES.most / Math.max(...sides)));
  if (scale === 1) return planes;
  const size = sides.map((side) => Math.round(side * scale));
  return scale > 1
    ? ops.aten.upsample_bilinear2d(planes, size, false)
    : ops.aten._upsample_bilinear2d_aa(planes, size, false);
}
