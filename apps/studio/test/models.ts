import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { smallConfig } from "../../../packages/iqvae/test/export/support.ts";
import { exampleOf, someCondition, writeFolder } from "../../../packages/runtime/test/support.ts";

/** A preset for each kind of condition but maps, of which a trained model is in the box. */
export const PRESETS = ["faces-lines", "emoji", "hands", "scenes", "words", "speech"] as const;

/** Writes small models with weights of chance, and the trained one, into a folder. */
export async function writeModels(
  folder: string,
  presets: readonly (typeof PRESETS)[number][] = PRESETS,
): Promise<void> {
  for (const preset of presets) {
    const example = await exampleOf(preset, { config: smallConfig(preset), unconditional: preset === "words" });
    const target = writeFolder(join(folder, preset), example.files);
    const examples = [1, 2, 3].map((seed) => Buffer.from(someCondition(example, seed)).toString("base64"));
    writeFileSync(join(target, "model.json"), JSON.stringify({ ...example.model, examples }));
    writeFileSync(join(target, "README.md"), `# ${preset}\n\nWeights of chance.\n`);
  }
  cpSync(fileURLToPath(new URL("../../../models/start", import.meta.url)), join(folder, "start"), { recursive: true });
}
