import { expect, test } from "vitest";
import { DATASETS, IMAGE_SIZES, type ImageSize } from "../../src/data/index.ts";
import { npmRecipe, type OpenFromNpm } from "../../src/data/open.ts";
import { isComposed, isPhotographs, photographsRecipe, sizesOf } from "../../src/data/photographs.ts";
import type { Recipe } from "../../src/data/recipe.ts";
import { emojiRecipe } from "../../src/data/sets/emoji/recipe.ts";
import { facesRecipe } from "../../src/data/sets/faces/recipe.ts";
import { handsRecipe } from "../../src/data/sets/hands/recipe.ts";
import { scenesRecipe } from "../../src/data/sets/scenes/recipe.ts";
import { speechRecipe } from "../../src/data/sets/speech/recipe.ts";
import { wordsRecipe } from "../../src/data/sets/words/recipe.ts";
import { halve } from "../../src/media/svg.ts";

const few = { count: 6, seed: 0 };
const LARGEST = 256;

test.each<[string, (size: ImageSize) => Recipe]>([
  ["faces, maps", (size) => facesRecipe({ condition: "semantic", split: "geometry", size, ...few })],
  ["faces, lines", (size) => facesRecipe({ condition: "lines", split: "geometry", size, ...few })],
  ["emoji", (size) => emojiRecipe(size)],
  ["hands", (size) => handsRecipe({ size, ...few })],
  ["scenes", (size) => scenesRecipe({ size, ...few })],
  ["words", (size) => wordsRecipe({ size, count: 6 })],
  ["speech", (size) => speechRecipe({ size, count: 6 })],
])("%s: a pair of 256 pixels is the same picture as its smaller ones", async (_, recipe) => {
  const index = 3;
  const large = (await (await recipe(LARGEST).prepare()).draw(index))!;
  for (const size of IMAGE_SIZES.filter((each) => each < LARGEST)) {
    const small = (await (await recipe(size).prepare()).draw(index))!;
    const shrunk = halvedTo(size, large.image);
    const off = shrunk.reduce((sum, value, i) => sum + Math.abs(value - small.image[i]!), 0) / shrunk.length;
    expect(off, `${size} pixels`).toBeLessThan(2);
    // Points, boxes, texts and sounds know no pixels.
    if (small.condition.length !== size ** 2) expect(large.condition).toEqual(small.condition);
    else expect(shareFound(small.condition, size, large.condition), `${size} pixels`).toBeGreaterThan(0.9);
  }
});

/** `heroes` has one where its package is. */
const KEYED = Object.keys(DATASETS).filter((name) => name !== "heroes");
const SEEDED = ["faces", "hands", "scenes"];

test.each(KEYED)(
  "%s: the cached pairs of another count, seed or split are not taken for those that are asked for",
  (name) => {
    const condition = DATASETS[name as keyof typeof DATASETS][0]!;
    const partsOf = (given: { count?: number; seed?: number; split?: string }) => {
      const usual = {
        name,
        condition,
        size: sizesOf(name)[0]!,
        ...(name !== "emoji" && { count: 6 }),
        seed: 0,
        ...given,
      };
      const recipe = isPhotographs(name)
        ? photographsRecipe({ ...usual, name, count: given.count ?? 6 }, "nowhere", false, () => {})
        : npmRecipe(usual as OpenFromNpm);
      return JSON.stringify(recipe.parts);
    };
    const others = [
      ...(name === "emoji" ? [] : [{ count: 7 }]),
      ...(SEEDED.includes(name) || (isPhotographs(name) && isComposed(name)) ? [{ seed: 1 }] : []),
      ...(name === "faces" ? [{ split: "unseen-parts" }] : []),
    ];
    expect(new Set([{}, ...others].map(partsOf)).size).toBe(1 + others.length);
  },
);

function halvedTo(size: number, image: Uint8Array): Uint8Array {
  let shrunk = image;
  for (let side = LARGEST / 2; side >= size; side /= 2) shrunk = halve(shrunk, side);
  return shrunk;
}

/** Of the labels or lines of a small condition, those that a large one has there too, up to half a pixel of the small one. */
function shareFound(small: Uint8Array, size: number, large: Uint8Array): number {
  const factor = LARGEST / size;
  const reach = factor / 2;
  const has = (label: number, left: number, top: number): boolean => {
    for (let y = Math.max(0, top - reach); y < Math.min(LARGEST, top + factor + reach); y++) {
      const row = large.subarray(y * LARGEST, (y + 1) * LARGEST);
      if (row.subarray(Math.max(0, left - reach), left + factor + reach).includes(label)) return true;
    }
    return false;
  };
  const drawn = [...small.entries()].filter(([, label]) => label !== 0);
  const found = drawn.filter(([at, label]) => has(label, (at % size) * factor, Math.floor(at / size) * factor));
  return found.length / drawn.length;
}
