import {
  type Engine,
  type ModelShape,
  ownEngine,
  toFloat32,
  tokenCounts,
  type Weights,
  weightShapes,
} from "@iqvae/runtime";
import { noGrad, scope, tensor, torchVersion, unscoped } from "@iqvae/torch";
import { conditionFor, conditionPlanes } from "../../conditions/index.ts";
import { conditionSpec } from "../../data/index.ts";
import { IqVae } from "../../models/iqvae.ts";
import { Transformer } from "../../models/transformer.ts";
import { loadExported } from "../../run/exported.ts";
import { openRun } from "../../run/run-folder.ts";
import { torchEngine } from "../../sampling/engine.ts";
import { loadKernels } from "../../support/kernels.ts";
import { prefixed } from "../../support/tensor-names.ts";
import type { LoadedModel } from "./batch.ts";
import type { ModelPlace } from "./protocol.ts";

/** Whether libtorch computes here: the addon and the kernels of the method are built, and can be loaded. */
function libtorchIsThere(): boolean {
  try {
    torchVersion();
    loadKernels();
    return true;
  } catch {
    return false;
  }
}

/**
 * Loads a model: into libtorch where it is there, which draws batches faster, else an exported one into the kernels of `@iqvae/runtime`.
 *
 * @param libtorch whether to draw exported models with it
 * @throws ModelError or CheckpointError for files that are missing or damaged
 */
export async function loadModel({ folder, kind }: ModelPlace, libtorch = libtorchIsThere()): Promise<LoadedModel> {
  return kind === "run" ? loadRun(folder) : await loadPlain(folder, libtorch);
}

async function loadPlain(folder: string, libtorch: boolean): Promise<LoadedModel> {
  let engine: Engine | undefined;
  const { model, condition } = await loadExported(folder, {
    engine: async (model, weights) => {
      engine = libtorch ? inLibtorch(model, weights) : await ownEngine(model, weights);
      return engine;
    },
  });
  return { engine: engine!, condition, counts: tokenCounts(model), row: model.grids.image[1] };
}

/** In float32, whatever the processor: then images are those of the other engines. */
function inLibtorch(model: ModelShape & { readonly size: number }, weights: Weights): Engine {
  const { size, autoencoders, transformer: shape } = model;
  return scope(() => {
    const iqvae = new IqVae(autoencoders, conditionFor(model.condition, size));
    const transformer = new Transformer({ ...shape, dropout: 0 }, iqvae.tokenShape(size));
    // What drawing does not need stays as it was made.
    const all = new Map([...iqvae.stateDict(), ...prefixed("transformer.", transformer.stateDict())]);
    noGrad(() => {
      for (const [name, weightShape] of weightShapes(model))
        all.get(name)!.copy_(tensor(toFloat32(weights.get(name)!), { shape: weightShape }));
    });
    const planes = conditionPlanes(model.condition, size);
    return unscoped(() => torchEngine({ iqvae, transformer, precision: "float32", size, planes }));
  });
}

function loadRun(folder: string): LoadedModel {
  const run = openRun(folder);
  const { iqvae, transformer } = run.loadModels();
  const { data, precision } = run.config;
  const spec = conditionSpec(data);
  const engine = torchEngine({
    iqvae,
    transformer,
    precision,
    size: data.size,
    planes: conditionPlanes(spec, data.size),
  });
  return {
    engine,
    condition: conditionFor(spec, data.size),
    counts: { ...transformer.tokens, absent: transformer.absent },
    row: iqvae.image.gridFor([data.size, data.size])[1],
  };
}
