import { type ConvLayer, GROUP_EPSILON, GROUPS, type Layer, type NormLayer, type Sides } from "../layers.ts";
import { toFloat32, type Weights } from "../weights.ts";
import { type Arena, THEN } from "./memory.ts";
import { Product } from "./products.ts";

/** Planes in the kernels' memory, pixel by pixel: `[height, width, channels]`. */
export interface Planes {
  readonly at: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

type Step = (planes: Planes) => Planes;

/**
 * Layers of an encoder or a decoder, one after the other. What a run allocates belongs to the caller, who marks the arena before it.
 * The last layer of a decoder, which moves channels between pixels, is left to the caller as well.
 */
export function networkOf(arena: Arena, layers: readonly Layer[], weights: Weights): Step {
  const steps = layers.map((layer) => stepOf(arena, layer, weights));
  return (planes) => steps.reduce((x, step) => step(x), planes);
}

function stepOf(arena: Arena, layer: Layer, weights: Weights): Step {
  switch (layer.kind) {
    case "conv":
      return convolution(arena, layer, weights);
    case "norm":
      return normalization(arena, layer, weights);
    case "upsample":
      return convolution(arena, layer.conv, weights, layer.factor);
    case "shuffle":
      return (planes) => planes;
    case "residual": {
      const [norm1, norm2] = [layer.norm1, layer.norm2].map((norm) => normalization(arena, norm, weights));
      const conv1 = convolution(arena, layer.conv1, weights);
      const conv2 = convolution(arena, layer.conv2, weights);
      const skip = layer.skip === null ? undefined : convolution(arena, layer.skip, weights);
      return (x) => {
        const onto = skip?.(x) ?? x;
        return conv2(norm2!(conv1(norm1!(x))), onto);
      };
    }
  }
}

/** @param grow how often each pixel is repeated along the axes before the convolution */
function convolution(
  arena: Arena,
  layer: ConvLayer,
  weights: Weights,
  grow: Sides = [1, 1],
): (planes: Planes, onto?: Planes) => Planes {
  const product = Product.of(arena, weights, layer.name);
  const { kernel, stride, padding, outputs } = layer;
  const [kh, kw] = kernel;
  const pointwise = kh * kw === 1 && stride[0] * stride[1] === 1;
  return (x, onto) => {
    const height = Math.floor((x.height * grow[0] + 2 * padding[0] - kh) / stride[0]) + 1;
    const width = Math.floor((x.width * grow[1] + 2 * padding[1] - kw) / stride[1]) + 1;
    const at = onto?.at ?? arena.allocate(height * width * outputs);
    const then = onto === undefined ? THEN.nothing : THEN.add;
    if (pointwise) product.run(x.at, at, height * width, then);
    else {
      const mark = arena.mark;
      const seen = arena.allocate(width * product.inputs);
      for (let row = 0; row < height; row++) {
        arena.kernels.gather(
          x.at,
          seen,
          x.height,
          x.width,
          x.channels,
          row,
          width,
          kh,
          kw,
          ...stride,
          ...padding,
          ...grow,
        );
        product.run(seen, at + 4 * row * width * outputs, width, then);
      }
      arena.free(mark);
    }
    return { at, height, width, channels: outputs };
  };
}

function normalization(arena: Arena, { name, channels }: NormLayer, weights: Weights): Step {
  const [weight, bias] = ["weight", "bias"].map((part) => arena.store(toFloat32(weights.get(`${name}.${part}`)!)));
  const scratch = arena.allocate(2 * channels);
  return (x) => {
    const at = arena.allocate(x.height * x.width * channels);
    const pixels = x.height * x.width;
    arena.kernels.groupNormSilu(x.at, at, weight!, bias!, pixels, channels, GROUPS, GROUP_EPSILON, scratch);
    return { ...x, at };
  };
}
