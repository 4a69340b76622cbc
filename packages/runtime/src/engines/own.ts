import { conditionPlanes } from "../conditions/spec.ts";
import { COUPLING, decoderLayers, encoderLayers } from "../layers.ts";
import type { Answer, Question } from "../sampling/sample.ts";
import { toFloat32, type Weights } from "../weights.ts";
import { networkOf } from "./convolutions.ts";
import type { DrawnModel, Engine } from "./engine.ts";
import { Arena, THEN, type Then } from "./memory.ts";
import { bytesOf, Product } from "./products.ts";
import { CachedTransformer } from "./transformer.ts";

/**
 * The engine of this package: WebAssembly with SIMD, one thread, nothing to fetch.
 *
 * @param weights are copied: they may go afterward
 */
export async function ownEngine(model: DrawnModel, weights: Weights): Promise<Engine> {
  const bytes = [...weights.values()].reduce((sum, weight) => sum + bytesOf(weight), 0);
  const arena = await Arena.create(1.1 * bytes + 2 ** 20);
  return new OwnEngine(arena, model, weights);
}

class OwnEngine implements Engine {
  readonly name: string;
  #parts: ReturnType<typeof partsOf> | undefined;

  constructor(arena: Arena, model: DrawnModel, weights: Weights) {
    this.name = `WebAssembly, ${arena.relaxed ? "relaxed SIMD" : "SIMD"}`;
    this.#parts = partsOf(arena, model, weights);
  }

  encode(planes: Float32Array): Int32Array {
    const { encode, transformer } = this.#parts!;
    try {
      return encode(planes);
    } catch {
      // What is left of a batch, perhaps of one that nobody ended, may take the room that the next begins with.
      transformer.forget();
      return encode(planes);
    }
  }

  predict(question: Question): Answer {
    return this.#parts!.transformer.predict(question);
  }

  keep(sequences: Int32Array): void {
    this.#parts!.transformer.keep(sequences);
  }

  decode(tokens: Int32Array, condition: Int32Array): Uint8Array {
    return this.#parts!.decode(tokens, condition);
  }

  release(): void {
    this.#parts = undefined;
  }
}

function partsOf(arena: Arena, model: DrawnModel, weights: Weights) {
  return {
    encode: encoderOf(arena, model, weights),
    decode: decoderOf(arena, model, weights),
    // The last: its caches lie behind everything else.
    transformer: new CachedTransformer(arena, model, weights),
  };
}

function encoderOf(arena: Arena, model: DrawnModel, weights: Weights): (planes: Float32Array) => Int32Array {
  const [height, width] = conditionPlanes(model.condition, model.size);
  const network = networkOf(arena, encoderLayers(model), weights);
  const down = Product.of(arena, weights, "condition.quantizer.down");
  const codebook = new Product(arena, weights.get("condition.quantizer.codebook")!, undefined);
  const run = (planes: Float32Array) => {
    const at = arena.store(planes);
    const features = network({ at, height, width, channels: planes.length / (height * width) });
    const rows = features.height * features.width;
    const vectors = arena.allocate(rows * down.outputs);
    const products = arena.allocate(rows * codebook.outputs);
    // The nearest code is that of the largest cosine, which is that of the largest product, however long the vector is.
    down.run(features.at, vectors, rows);
    codebook.run(vectors, products, rows);
    const all = arena.floats(products, rows * codebook.outputs);
    return Int32Array.from({ length: rows }, (_, row) =>
      largest(all.subarray(row * codebook.outputs, (row + 1) * codebook.outputs)),
    );
  };
  return (planes) => arena.during(() => run(planes));
}

function largest(values: Float32Array): number {
  let at = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[at]!) at = i;
  return at;
}

function decoderOf(
  arena: Arena,
  model: DrawnModel,
  weights: Weights,
): (tokens: Int32Array, condition: Int32Array) => Uint8Array {
  const [height, width] = model.grids.image;
  const { patch } = model.autoencoders.image;
  const network = networkOf(arena, decoderLayers(model), weights);
  const up = featuresOf(arena, weights, "image", "image.quantizer.up");
  const coupling = model.autoencoders.coupled === true ? featuresOf(arena, weights, "condition", COUPLING) : undefined;
  const run = (tokens: Int32Array, condition: Int32Array) => {
    const features = arena.allocate(tokens.length * up.outputs);
    up.run(tokens, features, THEN.nothing);
    coupling?.run(condition, features, THEN.add);
    const planes = network({ at: features, height, width, channels: up.outputs });
    return toPixels(arena.floats(planes.at, planes.height * planes.width * planes.channels), planes, patch);
  };
  return (tokens, condition) => arena.during(() => run(tokens, condition));
}

/** A layer from the codes of one half to features of the image's decoder. */
function featuresOf(arena: Arena, weights: Weights, half: "image" | "condition", layer: string) {
  const product = Product.of(arena, weights, layer);
  const codebook = toFloat32(weights.get(`${half}.quantizer.codebook`)!);
  const width = product.inputs;
  return {
    outputs: product.outputs,
    run: (tokens: Int32Array, onto: number, then: Then): void => {
      const mark = arena.mark;
      const codes = arena.allocate(tokens.length * width);
      const rows = arena.floats(codes, tokens.length * width);
      tokens.forEach((token, i) => {
        rows.set(codebook.subarray(token * width, (token + 1) * width), i * width);
      });
      product.run(codes, onto, tokens.length, then);
      arena.free(mark);
    },
  };
}

/** Values in [−1, 1], `[height, width, 3 · patch²]`, as bytes `[height · patch, width · patch, 3]`. */
function toPixels(
  values: Float32Array,
  { height, width }: { height: number; width: number },
  patch: number,
): Uint8Array {
  // It rounds to the nearest byte, halves to the even one, as libtorch does.
  const bytes = new Uint8ClampedArray(values.length);
  let at = 0;
  for (let y = 0; y < height * patch; y++)
    for (let x = 0; x < width * patch; x++)
      for (let c = 0; c < 3; c++) {
        const pixel = Math.floor(y / patch) * width + Math.floor(x / patch);
        const channel = (c * patch + (y % patch)) * patch + (x % patch);
        bytes[at++] = Math.fround(Math.fround(values[pixel * 3 * patch * patch + channel]! + 1) * 127.5);
      }
  return new Uint8Array(bytes.buffer);
}
