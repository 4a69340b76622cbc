import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MODEL_FILE, WEIGHTS_FILE } from "@iqvae/runtime";
import { manualSeed, scope, writeSafetensors } from "@iqvae/torch";
import { describeModel } from "../packages/iqvae/dist/export/describe.js";
import { GRAPHS } from "../packages/iqvae/dist/export/graphs.js";
import { neededWeights, storedTensors, storedWeights } from "../packages/iqvae/dist/export/weights.js";
import { conditionFor, conditionSpec, IqVae, loadConfig, Transformer } from "../packages/iqvae/dist/index.js";

/**
 * Writes the model of a preset as `iqvae export` does, with weights of chance: how fast it draws does not depend on them.
 *
 * @param {string} folder that is there
 * @param {{ preset: string, type: "f32" | "f16" | "int8", model?: { layers: number, width: number, heads: number } }} wanted
 * @returns {Promise<number>} the parameters of the transformer
 */
export async function writeExported(folder, { preset, type, model }) {
  const given = await loadConfig(preset);
  const config = { ...given, stage2: { ...given.stage2, model: { ...given.stage2.model, ...model } } };
  const description = describeModel(config, type);
  return scope(() => {
    manualSeed(0);
    const iqvae = new IqVae(config.stage1.model, conditionFor(conditionSpec(config.data), config.data.size));
    const transformer = new Transformer({ ...description.transformer, dropout: 0 }, iqvae.tokenShape(config.data.size));
    writeSafetensors(
      join(folder, WEIGHTS_FILE),
      storedWeights(neededWeights({ iqvae, transformer }, description), type),
    );
    const places = storedTensors(join(folder, WEIGHTS_FILE), WEIGHTS_FILE);
    for (const [name, make] of Object.entries(GRAPHS))
      writeFileSync(join(folder, name), make(description, places).encode());
    const files = Object.fromEntries(
      [WEIGHTS_FILE, ...Object.keys(GRAPHS)].map((name) => {
        const bytes = readFileSync(join(folder, name));
        return [name, { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") }];
      }),
    );
    writeFileSync(join(folder, MODEL_FILE), JSON.stringify({ ...description, files }));
    return [...transformer.stateDict().values()].reduce((sum, each) => sum + each.numel(), 0);
  });
}
