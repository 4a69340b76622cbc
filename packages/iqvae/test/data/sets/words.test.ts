import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { textOf } from "../../../src/conditions/index.ts";
import { captionsOf, openDataset } from "../../../src/data/index.ts";
import { namedConcepts } from "../../../src/data/sets/emoji/annotations.ts";
import { spokenConcepts } from "../../../src/data/sets/words/captions.ts";
import { isCaptionHeldOut } from "../../../src/data/sets/words/recipe.ts";

it("knows concepts by one word, each drawn by all vendors", () => {
  const concepts = namedConcepts();
  expect(concepts.length).toBeGreaterThan(300);
  for (const { name, icons } of concepts) {
    expect(name).toMatch(/^[a-z]+$/);
    expect(icons.map(({ vendor }) => vendor)).toEqual(["openmoji", "twemoji", "noto", "fluent-emoji-flat", "emojione"]);
    expect(icons.every(({ concept }) => concept === name)).toBe(true);
  }
  expect(concepts.find(({ name }) => name === "banana")?.keywords).toEqual(["fruit", "potassium"]);
});

it("tells of animals, plants, food and drink", () => {
  const names = spokenConcepts().map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(["ant", "rose", "banana", "sake"]));
  for (const name of ["airplane", "bell", "aries", "person"]) expect(names).not.toContain(name);
});

it("captions by name and keywords, on both sides of the name, within 32 bytes", () => {
  expect(captionsOf({ name: "banana", keywords: ["fruit", "potassium"], icons: [] })).toEqual([
    "banana",
    "banana fruit",
    "potassium banana",
  ]);
  expect(
    captionsOf({ name: "banana", keywords: ["a keyword that is far too long for this", "ripe"], icons: [] }),
  ).toEqual(["banana", "banana ripe"]);
});

it("holds out captions with all drawings, while training knows every name and every drawing", async () => {
  const cacheDir = await mkdtemp(join(tmpdir(), "iqvae-words-"));
  const dataset = await openDataset({ name: "words", condition: "text", size: 32, count: 600, cacheDir });
  const captions = (ids: readonly string[]) => new Set(ids.map((id) => id.split("/")[2]!));
  const train = captions(dataset.train.ids);
  expect([...captions(dataset.validation.ids)].filter((caption) => train.has(caption))).toEqual([]);
  for (const part of [dataset.train, dataset.validation]) {
    const { conditions } = part.batch([...Array(part.length).keys()]);
    part.ids.forEach((id, i) => {
      expect(textOf(conditions.subarray(32 * i, 32 * i + 32))).toBe(id.split("/")[2]);
    });
  }
  expect(dataset.train.length + dataset.validation.length).toBe(600);
  dataset.close();
  await rm(cacheDir, { recursive: true });

  const all = spokenConcepts().flatMap((concept) =>
    captionsOf(concept).map((caption) => [concept.name, caption] as const),
  );
  const held = all.filter(([name, caption]) => isCaptionHeldOut(name, caption));
  expect(held.length / all.length).toBeGreaterThan(0.07);
  expect(held.length / all.length).toBeLessThan(0.13);
  expect(spokenConcepts().some(({ name }) => isCaptionHeldOut(name, name))).toBe(false);
});
