import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { sampleExported } from "../../src/cli/sample-exported.ts";
import { scoreExported } from "../../src/metrics/score.ts";
import { loadExported, openExported } from "../../src/run/exported.ts";
import { openRun } from "../../src/run/run-folder.ts";
import { openModels } from "../../src/serve/catalog.ts";
import { loadModel } from "../../src/serve/drawer/load.ts";
import { silent } from "../../src/support/progress.ts";
import { temporaryFolder } from "./support.ts";

test.each([
  ["{", "it is not valid JSON ("],
  ["null", "the document must be"],
  ['{ "format": 9 }', "its format is 9"],
])("a model.json that is damaged is named with its folder, and what is wrong with it: %s", (json, message) => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "model.json"), json);
  for (const open of [() => openExported(folder, ""), () => openModels([folder])]) {
    expect(open).toThrow(`${folder} cannot be used: model.json: `);
    expect(open).toThrow(message);
  }
});

test("weights that are damaged are named with their folder, as several models may be asked for at once", async () => {
  const folder = temporaryFolder();
  cpSync(fileURLToPath(new URL("../../../../models/start", import.meta.url)), folder, { recursive: true });
  const path = join(folder, "model.safetensors");
  const bytes = readFileSync(path);
  writeFileSync(path, bytes.with(5000, bytes[5000]! ^ 1));
  for (const load of [
    () => loadModel({ name: "start", folder, kind: "exported" }, false),
    () => sampleExported(folder, { count: 1, sampling: {} }, 1, silent),
    () => scoreExported(openExported(folder), { conditions: 1, samples: 2, seed: 0 }),
  ])
    await expect(load()).rejects.toThrow(`${folder}: model.safetensors: its SHA-256 is `);
  rmSync(path);
  const missing = loadExported(folder);
  await expect(missing).rejects.toThrow(/cannot be read/);
  await expect(missing).rejects.toMatchObject({ file: path }); // which names the folder, too
});

test("a file in the place of a folder of models is said to be one", () => {
  const file = join(temporaryFolder(), "weights");
  writeFileSync(file, "");
  expect(() => openModels([file])).toThrow(`${file} is a file`);
});

test("an exported model in the place of a run is said to be one", () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "model.json"), "{}");
  expect(() => openRun(folder)).toThrow(`${folder} is an exported model, but this needs a run; `);
  expect(() => openRun(join(folder, "none"))).toThrow(`There is no run in ${join(folder, "none")}; `);
});
