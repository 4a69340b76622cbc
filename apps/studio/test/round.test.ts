import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseBundle, readWeights, toFloat32 } from "@iqvae/runtime";
import { tensor } from "@iqvae/torch";
import { afterAll, beforeAll, expect, test } from "vitest";
import { storedWeights } from "../../../packages/iqvae/src/export/weights.ts";
import { roundModel } from "../vite/round.ts";
import { writeModels } from "./models.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "studio-round-"));
  writeModels(folder, ["words", "start"]);
});
afterAll(() => rmSync(folder, { recursive: true }));

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
  Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
const same = (a: ArrayBufferView, b: ArrayBufferView) => bytesOf(a).equals(bytesOf(b));

test.each(["words", "start"])("%s is rounded as iqvae export rounds", (name) => {
  const json = readFileSync(join(folder, name, "model.json"), "utf8");
  const bytes = readFileSync(join(folder, name, "model.safetensors"));
  const before = readWeights(bytes, parseBundle(json));
  const rounded = roundModel(json, bytes);
  const model = parseBundle(rounded.json);
  const after = readWeights(rounded.weights, model);
  const wanted = storedWeights(
    new Map([...before].map(([key, weight]) => [key, tensor(toFloat32(weight), { shape: weight.shape })])),
    "int8",
  );
  for (const [key, weight] of after) {
    if (weight.type === "int8") {
      expect(same(weight.data, wanted.get(key)!.read("int8")), key).toBe(true);
      expect(same(weight.scales, wanted.get(`${key}.scale`)!.read("float32")), key).toBe(true);
    } else expect(same(weight.data, wanted.get(key)!.read("float32")), key).toBe(true);
  }
  expect(after.size).toBe(before.size);
  expect(model.weights).toBe("int8");
  const sha256 = createHash("sha256").update(rounded.weights).digest("hex");
  expect(model.files["model.safetensors"]).toEqual({ bytes: rounded.weights.length, sha256 });
  expect(rounded.weights.length).toBeLessThan(0.54 * bytes.length);
});

test("what is rounded stays as it is", () => {
  const read = (file: string) => readFileSync(join(folder, "words", file));
  const once = roundModel(read("model.json").toString(), read("model.safetensors"));
  expect(roundModel(once.json, once.weights)).toEqual(once);
});
