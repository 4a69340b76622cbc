import { type Engine, ImageGenerator as ExportedGenerator, ownEngine } from "@iqvae/runtime";
import { conditionFor, conditionPlanes } from "../../conditions/index.ts";
import { conditionSpec } from "../../data/index.ts";
import { openRun } from "../../run/run-folder.ts";
import { torchEngine } from "../../sampling/engine.ts";
import type { LoadedModel } from "./batch.ts";
import type { ModelPlace } from "./protocol.ts";

/**
 * Loads a model: a run into libtorch, an exported one into the kernels of `@iqvae/runtime`.
 *
 * @throws ModelError or CheckpointError for files that are missing or damaged
 */
export async function loadModel({ folder, kind }: ModelPlace): Promise<LoadedModel> {
  return kind === "run" ? loadRun(folder) : await loadExported(folder);
}

async function loadExported(folder: string): Promise<LoadedModel> {
  let engine: Engine | undefined;
  const { model, condition } = await ExportedGenerator.load(folder, {
    engine: async (model, weights) => {
      engine = await ownEngine(model, weights);
      return engine;
    },
  });
  const { grids, autoencoders, transformer } = model;
  const counts = {
    conditionCodes: autoencoders.condition.codes,
    imageCodes: autoencoders.image.codes,
    conditionTokens: grids.condition[0] * grids.condition[1],
    imageTokens: grids.image[0] * grids.image[1],
    absent: transformer.unconditional ? autoencoders.condition.codes : undefined,
  };
  return { engine: engine!, condition, counts, row: grids.image[1] };
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
