import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openExported } from "../../src/run/exported.ts";
import { openRun } from "../../src/run/run-folder.ts";
import { openModels } from "../../src/serve/catalog.ts";
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
