import { expect, test } from "vitest";
import { ADE20K_CLASSES, CELEBAMASK_PARTS, COCO_CLASSES } from "../../../src/data/import/class-names.ts";

// Numbers of the data sets' own lists, spread over each: a name that is left out or put in moves all that follow.

test("ADE20K numbers its classes as objectInfo150.txt does", () => {
  const named = [1, 10, 20, 30, 45, 59, 60, 73, 88, 97, 110, 124, 139, 142, 150].map((at) => ADE20K_CLASSES[at]);
  expect(named.join()).toBe(
    "wall,grass,chair,field,chest of drawers,screen door,stairway,palm,streetlight,escalator,swimming pool,trade name," +
      "ashcan,crt screen,flag",
  );
  expect(new Set(ADE20K_CLASSES).size).toBe(151);
});

test("COCO-Stuff has the things of COCO, then stuff 92 to 182 of its labels.txt", () => {
  /** Of the 91 numbers for things, those that were never annotated. */
  const unused = [12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91];
  const numbers = Array.from({ length: 182 }, (_, i) => i + 1).filter((id) => !unused.includes(id));
  expect(COCO_CLASSES).toHaveLength(numbers.length);
  const known = {
    ...{ 1: "person", 11: "fire hydrant", 13: "stop sign", 25: "giraffe", 27: "backpack", 31: "handbag", 44: "bottle" },
    ...{ 46: "wine glass", 65: "bed", 67: "dining table", 70: "toilet", 72: "tv", 82: "refrigerator", 84: "book" },
    ...{
      90: "toothbrush",
      92: "banner",
      103: "ceiling-tile",
      119: "flower",
      134: "moss",
      148: "river",
      157: "sky-other",
    },
    ...{ 171: "wall-brick", 178: "water-other", 182: "wood" },
  };
  const named = Object.keys(known).map((id) => [id, COCO_CLASSES[numbers.indexOf(Number(id))]]);
  expect(Object.fromEntries(named)).toEqual(known);
  expect(new Set(COCO_CLASSES).size).toBe(COCO_CLASSES.length);
});

test("CelebAMask-HQ has 18 parts, in the order of its script that merges them", () => {
  expect(CELEBAMASK_PARTS.map((name, i) => `${i + 1} ${name}`).filter((_, i) => i % 3 === 0)).toEqual([
    "1 skin",
    "4 l_eye",
    "7 r_brow",
    "10 mouth",
    "13 hair",
    "16 neck_l",
  ]);
  expect(CELEBAMASK_PARTS).toHaveLength(18);
});
