import { type ModelShape, type WeightType, weightShapes } from "@iqvae/runtime";
import { noGrad, ops, readSafetensorsHeader, scope, type Tensor } from "@iqvae/torch";
import type { IqVae } from "../models/iqvae.ts";
import type { Transformer } from "../models/transformer.ts";
import { SCALE, type StoredTensor, type StoredTensors } from "./graph.ts";
import { ELEMENTS, type Element } from "./onnx.ts";

/** The largest number of a signed byte, and of IEEE 754's binary16. */
const MOST = { int8: 127, f16: 65504 } as const;

/** Both models of a run. */
export interface Models {
  readonly iqvae: IqVae;
  readonly transformer: Transformer;
}

/**
 * All tensors that drawing needs, by the names of `model.safetensors`: views of the models' own.
 *
 * @throws Error that names the tensors that the models lack or have in another shape, which is a fault of the program
 */
export function neededWeights({ iqvae, transformer }: Models, shape: ModelShape): Map<string, Tensor> {
  const all = new Map(iqvae.stateDict());
  for (const [name, tensor] of transformer.stateDict()) all.set(`transformer.${name}`, tensor);
  const needed = new Map<string, Tensor>();
  for (const [name, wanted] of weightShapes(shape)) {
    const tensor = all.get(name);
    if (tensor?.shape.join() !== wanted.join())
      throw new Error(
        `${name} is ${tensor?.shape.join(" × ") ?? "missing"}, but ${wanted.join(" × ")} in the description`,
      );
    needed.set(name, tensor);
  }
  return needed;
}

/**
 * Tensors as they are stored. Vectors stay float32: they are few. Of the others, `f16` rounds each number, and `int8` makes each
 * row whole numbers of at most 127 by a scale of its own, in `NAME.scale`, so that its largest number is exact.
 *
 * @throws RangeError for numbers that float16 does not have
 */
export function storedWeights(weights: ReadonlyMap<string, Tensor>, type: WeightType): Map<string, Tensor> {
  return scope(() =>
    noGrad(() => {
      const stored = new Map<string, Tensor>();
      for (const [name, tensor] of weights) {
        const values = tensor.detach().to("float32").contiguous();
        if (type === "f32" || values.shape.length === 1) stored.set(name, values);
        else if (type === "f16") stored.set(name, toHalf(name, values));
        else {
          const { rows, scales } = byRow(values);
          stored.set(name, rows);
          stored.set(name + SCALE, scales);
        }
      }
      return stored;
    }),
  );
}

function toHalf(name: string, values: Tensor): Tensor {
  const largest = values.abs().amax().item();
  if (!(largest <= MOST.f16))
    throw new RangeError(
      `${name} holds ${largest}, and the largest number of float16 is ${MOST.f16}; export the run with --weights f32`,
    );
  return values.to("float16");
}

function byRow(values: Tensor): { rows: Tensor; scales: Tensor } {
  const count = values.shape[0]!;
  const flat = values.reshape([count, -1]);
  const largest = flat.abs().amax([1]);
  // A row of zeros has any scale.
  const scales = ops.aten.where(largest.gt(0), largest.div(MOST.int8), ops.aten.ones_like(largest));
  const rows = flat.div(scales.unsqueeze(1)).round().clamp(-MOST.int8, MOST.int8).to("int8");
  return { rows: rows.reshape(values.shape), scales };
}

/** What {@link storedWeights} stands for: float32 values by the names of the weights. */
export function restoredWeights(stored: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  return scope(() =>
    noGrad(() => {
      const names = [...stored.keys()].filter((name) => !name.endsWith(SCALE));
      return new Map(
        names.map((name) => {
          const values = stored.get(name)!.to("float32");
          const scales = stored.get(name + SCALE);
          if (scales === undefined) return [name, values];
          const column = [...scales.shape, ...Array<number>(values.shape.length - 1).fill(1)];
          return [name, values.mul(scales.reshape(column))];
        }),
      );
    }),
  );
}

/** Where the tensors of a safetensors file lie, for graphs beside it. */
export function storedTensors(path: string, location: string): StoredTensors {
  const { tensors, dataStart } = readSafetensorsHeader(path);
  return new Map(
    [...tensors].map(([name, { dtype, shape, start, end }]): [string, StoredTensor] => {
      if (!(dtype in ELEMENTS)) throw new Error(`${path}: ${name} is ${dtype}, which no graph takes`);
      return [name, { element: dtype as Element, shape, location, offset: dataStart + start, length: end - start }];
    }),
  );
}
