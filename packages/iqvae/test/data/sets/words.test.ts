import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { textOf } from "../../../src/conditions/index.ts";
import { captionsOf, openDataset } from "../../../src/data/index.ts";
import { namedConcepts } from "../../../src/data/sets/emoji/annotations.ts";
import { captionedConcepts, spokenConcepts } from "../../../src/data/sets/words/captions.ts";
import { isCaptionHeldOut } from "../../../src/data/sets/words/recipe.ts";
import { plainCaption, typedCaptions } from "../../../src/data/sets/words/typed.ts";

const CAPTIONED = captionedConcepts();

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

it("captions as people type: articles, plurals, words around the name, marks, and slips", () => {
  const [mouse, ewe, grapes, candy, ant] = ["mouse", "ewe", "grapes", "candy", "ant"].map((name) =>
    typedCaptions(name, new Set()),
  );
  expect(mouse!.slice(0, 3)).toEqual(["a mouse", "the mouse", "mice"]);
  expect(ewe!.slice(0, 3)).toEqual(["a ewe", "the ewe", "ewes"]);
  expect(grapes!.slice(0, 3)).toEqual(["some grapes", "the grapes", "grapes"]);
  expect(candy!.slice(0, 3)).toEqual(["a candy", "the candy", "candies"]);
  expect(ant!.slice(0, 3)).toEqual(["an ant", "the ant", "ants"]);

  expect(CAPTIONED.flatMap(({ captions }) => captions).filter((text) => /[{}]/.test(text))).toEqual([]);
  // Whatever stands around it, the name or its plural is there, but for slips.
  for (const { concept, captions } of CAPTIONED) {
    const shown = [concept.name.replace(/s$/, ""), typedCaptions(concept.name, new Set())[2]!];
    const without = captions.filter((text) => !shown.some((name) => text.includes(name)));
    expect(without.length, `${concept.name}: ${without}`).toBeLessThanOrEqual(3);
    expect(captions.length).toBeGreaterThan(20);
    expect(new Set(captions).size).toBe(captions.length);
  }
  const slips = typedCaptions("tiger", new Set())
    .map(plainCaption)
    .filter((text) => !text.includes("tiger"));
  const left = typedCaptions("tiger", new Set(slips)).map(plainCaption);
  expect([slips.length, left.filter((text) => slips.includes(text))]).toEqual([3, []]);

  const texts = CAPTIONED.flatMap(({ captions }) => captions);
  const share = (is: (text: string) => boolean) => texts.filter(is).length / texts.length;
  expect(texts.filter((text) => text !== text.toLowerCase())).toEqual([]);
  expect(share((text) => /[.!?]$/.test(text))).toBeCloseTo(0.08, 1);
});

it("holds out a caption with all that differs from it by a mark alone", () => {
  for (const [plain, typed] of [
    ["banana fruit", "banana fruit!"],
    ["a cute cat", "a cute cat."],
  ] as const) {
    expect(isCaptionHeldOut("x", plain)).toBe(isCaptionHeldOut("x", typed));
  }
  expect(isCaptionHeldOut("banana", "banana?")).toBe(false);
  const parts = new Map<string, Set<boolean>>();
  for (const { concept, captions } of CAPTIONED) {
    for (const caption of captions) {
      const key = plainCaption(caption);
      parts.set(key, (parts.get(key) ?? new Set()).add(isCaptionHeldOut(concept.name, caption)));
    }
  }
  expect([...parts].filter(([, both]) => both.size > 1)).toEqual([]);
});

it("holds out captions with all drawings, while training knows every name and every drawing", async () => {
  const cacheDir = await mkdtemp(join(tmpdir(), "iqvae-words-"));
  const dataset = await openDataset({ name: "words", condition: "text", size: 32, count: 600, cacheDir });
  expect(dataset.condition).toEqual({ kind: "text", length: 32, lowercase: true });
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

  const all = CAPTIONED.flatMap(({ concept, captions: own }) => own.map((caption) => [concept.name, caption] as const));
  const held = all.filter(([name, caption]) => isCaptionHeldOut(name, caption));
  expect(held.length / all.length).toBeGreaterThan(0.12);
  expect(held.length / all.length).toBeLessThan(0.15);
  expect(spokenConcepts().some(({ name }) => isCaptionHeldOut(name, name))).toBe(false);
});
