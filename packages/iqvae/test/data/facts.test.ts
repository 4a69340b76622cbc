import { expect, test } from "vitest";
import { cubSource } from "../../src/data/import/layouts/cub.ts";
import { deepfashionSource } from "../../src/data/import/layouts/deepfashion.ts";
import { imagesSource } from "../../src/data/import/layouts/images.ts";
import { subUrmpSource } from "../../src/data/import/layouts/sub-urmp.ts";
import { FileTree } from "../../src/data/import/readers/file-tree.ts";
import type { PairFacts } from "../../src/data/index.ts";
import { emojiRecipe } from "../../src/data/sets/emoji/recipe.ts";
import { facesRecipe } from "../../src/data/sets/faces/recipe.ts";
import { handsRecipe } from "../../src/data/sets/hands/recipe.ts";
import { speechRecipe } from "../../src/data/sets/speech/recipe.ts";
import { wordsRecipe } from "../../src/data/sets/words/recipe.ts";
import { tree } from "./import/trees.ts";

/** What a layout knows of its pairs, of which there are none here. */
const imported = (layout: (path: string, tree: FileTree) => { readonly facts?: PairFacts }) => () => {
  const path = tree({ "a-annotation.csv": "", "images/a.png": "", "text/a": "", "img/a": "", "chunk/a": "" });
  return layout(path, new FileTree(path));
};
const cub = imported((path, tree) =>
  cubSource({ name: "cub-200-2011", condition: "text", path, size: 32, length: 64 }, tree),
);
const urmp = imported((path, tree) => subUrmpSource({ name: "sub-urmp", condition: "audio", path, size: 32 }, tree));
const fashion = imported((path, tree) =>
  deepfashionSource({ name: "deepfashion", condition: "keypoints", path, size: 32 }, tree),
);
const images = imported((path, tree) => imagesSource({ name: "images", condition: "edges", path, size: 32 }, tree));
const words = () => wordsRecipe({ size: 32, count: 8 });
const numbers = { size: 32, count: 8, seed: 0 } as const;

test.each([
  ["emoji", () => emojiRecipe(32), "lemon/noto/lemon", "lemon/twemoji/lemon", "pear/noto/pear"],
  ["words", words, "lemon/noto/sour lemon", "lemon/twemoji/lemon", "pear/noto/pear"],
  [
    "speech",
    () => speechRecipe({ size: 32, count: 8 }),
    "lemon/noto/awb-1-1",
    "lemon/noto/slt-1-1",
    "pear/noto/awb-1-1",
  ],
  ["hands", () => handsRecipe(numbers), "hand-0-4", "hand-0-7", "hand-0-8"],
  ["CUB", cub, "images/x/a.jpg#0", "images/x/a.jpg#9", "images/x/b.jpg#0"],
  ["Sub-URMP", urmp, "train/cello/a_1", "train/cello/a_22", "train/cello/b_1"],
  [
    "DeepFashion",
    fashion,
    "img/WOMEN/Tees/id_00000002/02_1_front.jpg",
    "img/WOMEN/Tees/id_00000002/04_7_side.jpg",
    "img/WOMEN/Tees/id_00000003/02_1_front.jpg",
  ],
  [
    "DeepFashion, flattened",
    fashion,
    "fashionWOMENTeesid0000000202_1front.jpg",
    "fashionWOMENTeesid0000000204_7side.jpg",
    "fashionWOMENTeesid0000000302_1front.jpg",
  ],
])("%s: pairs that show the same are one group", (_, made, one, same, other) => {
  const group = made().facts!.group!;
  expect(group(one)).toBe(group(same));
  expect(group(one)).not.toBe(group(other));
});

test.each([
  ["words", words, "lemon/noto/sour lemon", "lemon/twemoji/lemon", "pear/noto/pear"],
  ["CUB", cub, "images/x/a.jpg#0", "images/x/b.jpg#3", "images/y/a.jpg#0"],
  ["Sub-URMP", urmp, "train/cello/a_1", "train/cello/b_1", "train/oboe/a_1"],
])("%s: pictures of one thing are of one concept", (_, made, one, same, other) => {
  const concept = made().facts!.concept!;
  expect(concept(one)).toBe(concept(same));
  expect(concept(one)).not.toBe(concept(other));
});

test("CUB: captions of one image share its picture", () => {
  const picture = cub().facts!.picture!;
  expect([picture("images/x/a.jpg#0"), picture("images/x/a.jpg#9")]).toEqual(Array(2).fill("images/x/a.jpg"));
});

test("edges that the program found itself are said to be", () => {
  expect(emojiRecipe(32).facts?.edgesOfImage).toBe(true);
  expect(images().facts?.edgesOfImage).toBe(true);
  expect(facesRecipe({ ...numbers, condition: "lines", split: "geometry" }).facts?.edgesOfImage).toBeUndefined();
});
