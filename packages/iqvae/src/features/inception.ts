import { noGrad, ops, scope, type Tensor, unscoped } from "@iqvae/torch";
import { toUnitRange } from "../models/iqvae.ts";
import type { FeatureLayer, FeatureNetwork } from "./network.ts";
import { isOfficial } from "./official.ts";
import { type FixedWeights, foldBatchNorm, readWeights } from "./weights.ts";

/** Side that images are brought to. */
const SIDE = 299;
const BATCH_NORM_EPS = 1e-3;

/** Kernel height and width, input and output channels of each convolution, under pytorch-fid's names. */
type Kernel = readonly [name: string, height: number, width: number, inputs: number, outputs: number];

const STEM: readonly Kernel[] = [
  ["Conv2d_1a_3x3", 3, 3, 3, 32],
  ["Conv2d_2a_3x3", 3, 3, 32, 32],
  ["Conv2d_2b_3x3", 3, 3, 32, 64],
  ["Conv2d_3b_1x1", 1, 1, 64, 80],
  ["Conv2d_4a_3x3", 3, 3, 80, 192],
];

/** The Inception blocks of Szegedy et al. 2016 (figures 5 to 7), by the letters that torchvision gives them. */
const blockA = (name: string, inputs: number, pool: number): Kernel[] => [
  [`${name}.branch1x1`, 1, 1, inputs, 64],
  [`${name}.branch5x5_1`, 1, 1, inputs, 48],
  [`${name}.branch5x5_2`, 5, 5, 48, 64],
  [`${name}.branch3x3dbl_1`, 1, 1, inputs, 64],
  [`${name}.branch3x3dbl_2`, 3, 3, 64, 96],
  [`${name}.branch3x3dbl_3`, 3, 3, 96, 96],
  [`${name}.branch_pool`, 1, 1, inputs, pool],
];
const blockB = (name: string): Kernel[] => [
  [`${name}.branch3x3`, 3, 3, 288, 384],
  [`${name}.branch3x3dbl_1`, 1, 1, 288, 64],
  [`${name}.branch3x3dbl_2`, 3, 3, 64, 96],
  [`${name}.branch3x3dbl_3`, 3, 3, 96, 96],
];
const blockC = (name: string, c: number): Kernel[] => [
  [`${name}.branch1x1`, 1, 1, 768, 192],
  [`${name}.branch7x7_1`, 1, 1, 768, c],
  [`${name}.branch7x7_2`, 1, 7, c, c],
  [`${name}.branch7x7_3`, 7, 1, c, 192],
  [`${name}.branch7x7dbl_1`, 1, 1, 768, c],
  [`${name}.branch7x7dbl_2`, 7, 1, c, c],
  [`${name}.branch7x7dbl_3`, 1, 7, c, c],
  [`${name}.branch7x7dbl_4`, 7, 1, c, c],
  [`${name}.branch7x7dbl_5`, 1, 7, c, 192],
  [`${name}.branch_pool`, 1, 1, 768, 192],
];
const blockD = (name: string): Kernel[] => [
  [`${name}.branch3x3_1`, 1, 1, 768, 192],
  [`${name}.branch3x3_2`, 3, 3, 192, 320],
  [`${name}.branch7x7x3_1`, 1, 1, 768, 192],
  [`${name}.branch7x7x3_2`, 1, 7, 192, 192],
  [`${name}.branch7x7x3_3`, 7, 1, 192, 192],
  [`${name}.branch7x7x3_4`, 3, 3, 192, 192],
];
const blockE = (name: string, inputs: number): Kernel[] => [
  [`${name}.branch1x1`, 1, 1, inputs, 320],
  [`${name}.branch3x3_1`, 1, 1, inputs, 384],
  [`${name}.branch3x3_2a`, 1, 3, 384, 384],
  [`${name}.branch3x3_2b`, 3, 1, 384, 384],
  [`${name}.branch3x3dbl_1`, 1, 1, inputs, 448],
  [`${name}.branch3x3dbl_2`, 3, 3, 448, 384],
  [`${name}.branch3x3dbl_3a`, 1, 3, 384, 384],
  [`${name}.branch3x3dbl_3b`, 3, 1, 384, 384],
  [`${name}.branch_pool`, 1, 1, inputs, 192],
];

const KERNELS: readonly Kernel[] = [
  ...STEM,
  ...blockA("Mixed_5b", 192, 32),
  ...blockA("Mixed_5c", 256, 64),
  ...blockA("Mixed_5d", 288, 64),
  ...blockB("Mixed_6a"),
  ...blockC("Mixed_6b", 128),
  ...blockC("Mixed_6c", 160),
  ...blockC("Mixed_6d", 160),
  ...blockC("Mixed_6e", 192),
  ...blockD("Mixed_7a"),
  ...blockE("Mixed_7b", 1280),
  ...blockE("Mixed_7c", 2048),
];

/** Every weight that is read, by pytorch-fid's name. */
export const INCEPTION_SHAPES: ReadonlyMap<string, readonly number[]> = new Map(
  KERNELS.flatMap(([name, height, width, inputs, outputs]): [string, readonly number[]][] => [
    [`${name}.conv.weight`, [outputs, inputs, height, width]],
    ...["weight", "bias", "running_mean", "running_var"].map((part): [string, readonly number[]] => [
      `${name}.bn.${part}`,
      [outputs],
    ]),
  ]),
);

/**
 * Opens Inception-v3 as the FID is computed with: the TensorFlow network of Heusel et al. 2017 in the form of pytorch-fid,
 * whose pooling leaves borders out of averages. Images are brought to 299 pixels by bilinear interpolation.
 *
 * @param path a safetensors file of `tools/convert-weights.py inception-v3-fid`
 * @throws Error when a weight is missing or has another shape
 */
export async function openInception(path: string): Promise<FeatureNetwork> {
  return inception(await readWeights(path, INCEPTION_SHAPES, "inception-v3-fid"));
}

/** Inception-v3 of the given weights: see {@link openInception}. */
export function inception({ tensors, metadata, digest }: FixedWeights): FeatureNetwork {
  const official = isOfficial("inception-v3-fid", metadata);
  const blocks = new Inception(tensors);
  return {
    name: official ? "inception-v3-fid" : `inception-v3-fid (weights ${digest.slice(0, 8)})`,
    digest,
    dims: 2048,
    features: (pixels) => scope(() => blocks.forward(toUnitRange(pixels)).at(-1)!.to("float32").mean([2, 3])),
    layers: (planes) => blocks.forward(planes).map((activation): FeatureLayer => ({ activation, weights: null })),
  };
}

interface Placing {
  readonly stride?: number;
  /** Without padding; else as much as keeps the size at stride 1. */
  readonly valid?: boolean;
}

class Inception {
  readonly #kernels: ReadonlyMap<string, { readonly weight: Tensor; readonly bias: Tensor }>;

  constructor(tensors: ReadonlyMap<string, Tensor>) {
    this.#kernels = unscoped(() =>
      scope(() =>
        noGrad(
          () =>
            new Map(
              KERNELS.map(([name]) => [
                name,
                foldBatchNorm(tensors, `${name}.conv.weight`, `${name}.bn`, BATCH_NORM_EPS),
              ]),
            ),
        ),
      ),
    );
  }

  /** Planes `[B, 3, H, W]` in [−1, 1] → the outputs of the four parts that pytorch-fid tells apart. */
  forward(planes: Tensor): Tensor[] {
    const size = [SIDE, SIDE];
    const resized =
      planes.shape.slice(2).join() === size.join() ? planes : ops.aten.upsample_bilinear2d(planes, size, false);
    let x = this.#conv(resized, "Conv2d_1a_3x3", { stride: 2, valid: true });
    x = this.#conv(x, "Conv2d_2a_3x3", { valid: true });
    x = this.#conv(x, "Conv2d_2b_3x3");
    const first = ops.aten.max_pool2d(x, [3, 3], [2, 2]);
    x = this.#conv(first, "Conv2d_3b_1x1");
    x = this.#conv(x, "Conv2d_4a_3x3", { valid: true });
    const second = ops.aten.max_pool2d(x, [3, 3], [2, 2]);
    x = ["Mixed_5b", "Mixed_5c", "Mixed_5d"].reduce((y, name) => this.#a(y, name), second);
    x = this.#b(x, "Mixed_6a");
    const third = ["Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"].reduce((y, name) => this.#c(y, name), x);
    x = this.#d(third, "Mixed_7a");
    x = this.#e(x, "Mixed_7b", averages);
    // The published network pools by the maximum in its last block: what looks like a slip is part of the FID.
    return [first, second, third, this.#e(x, "Mixed_7c", maxima)];
  }

  #conv(x: Tensor, name: string, { stride = 1, valid = false }: Placing = {}): Tensor {
    const { weight, bias } = this.#kernels.get(name)!;
    const [, , height, width] = weight.shape as [number, number, number, number];
    const padding = valid ? [0, 0] : [(height - 1) / 2, (width - 1) / 2];
    return ops.aten.conv2d(x, weight, bias, [stride, stride], padding).relu();
  }

  /** One convolution after the other. */
  #chain(x: Tensor, block: string, ...branches: readonly string[]): Tensor {
    return branches.reduce((y, branch) => this.#conv(y, `${block}.${branch}`), x);
  }

  #a(x: Tensor, block: string): Tensor {
    return ops.aten.cat(
      [
        this.#chain(x, block, "branch1x1"),
        this.#chain(x, block, "branch5x5_1", "branch5x5_2"),
        this.#chain(x, block, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
        this.#chain(averages(x), block, "branch_pool"),
      ],
      1,
    );
  }

  #b(x: Tensor, block: string): Tensor {
    const double = this.#chain(x, block, "branch3x3dbl_1", "branch3x3dbl_2");
    return ops.aten.cat(
      [
        this.#conv(x, `${block}.branch3x3`, { stride: 2, valid: true }),
        this.#conv(double, `${block}.branch3x3dbl_3`, { stride: 2, valid: true }),
        ops.aten.max_pool2d(x, [3, 3], [2, 2]),
      ],
      1,
    );
  }

  #c(x: Tensor, block: string): Tensor {
    const double = ["1", "2", "3", "4", "5"].map((number) => `branch7x7dbl_${number}`);
    return ops.aten.cat(
      [
        this.#chain(x, block, "branch1x1"),
        this.#chain(x, block, "branch7x7_1", "branch7x7_2", "branch7x7_3"),
        this.#chain(x, block, ...double),
        this.#chain(averages(x), block, "branch_pool"),
      ],
      1,
    );
  }

  #d(x: Tensor, block: string): Tensor {
    const single = this.#chain(x, block, "branch3x3_1");
    const double = this.#chain(x, block, "branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3");
    return ops.aten.cat(
      [
        this.#conv(single, `${block}.branch3x3_2`, { stride: 2, valid: true }),
        this.#conv(double, `${block}.branch7x7x3_4`, { stride: 2, valid: true }),
        ops.aten.max_pool2d(x, [3, 3], [2, 2]),
      ],
      1,
    );
  }

  #e(x: Tensor, block: string, pool: (x: Tensor) => Tensor): Tensor {
    const single = this.#chain(x, block, "branch3x3_1");
    const double = this.#chain(x, block, "branch3x3dbl_1", "branch3x3dbl_2");
    return ops.aten.cat(
      [
        this.#chain(x, block, "branch1x1"),
        this.#chain(single, block, "branch3x3_2a"),
        this.#chain(single, block, "branch3x3_2b"),
        this.#chain(double, block, "branch3x3dbl_3a"),
        this.#chain(double, block, "branch3x3dbl_3b"),
        this.#chain(pool(x), block, "branch_pool"),
      ],
      1,
    );
  }
}

const averages = (x: Tensor): Tensor => ops.aten.avg_pool2d(x, [3, 3], [1, 1], [1, 1], false, false);
const maxima = (x: Tensor): Tensor => ops.aten.max_pool2d(x, [3, 3], [1, 1], [1, 1]);
