import { describe, expect, test } from "vitest";
import type { PairDataset } from "../../../src/data/index.ts";
import { importOf, jpeg, pairsOf, tree } from "./trees.ts";

const HEADER = "name:keypoints_y:keypoints_x";
const picture = (width: number, height: number) => jpeg(width, height, () => [90, 90, 90]);
const [whole, crop] = await Promise.all([picture(256, 256), picture(176, 256)]);

/** A row of 18 points, of which all but the first few are hidden. */
const row = (name: string, ...points: readonly (readonly [x: number, y: number])[]) => {
  const column = (axis: 0 | 1) => JSON.stringify(Array.from({ length: 18 }, (_, k) => points[k]?.[axis] ?? -1));
  return `${name}:${column(1)}:${column(0)}`;
};
const table = (...rows: readonly string[]) => [HEADER, ...rows].join("\n");

/** `a.jpg` is trained on, and `b.jpg` held out. */
const lists = { "train.lst": "a.jpg\nc.jpg\n", "test.lst": "b.jpg\n" };

async function opened(files: Readonly<Record<string, string | Buffer>>): Promise<PairDataset> {
  const { dataset } = await importOf({ name: "deepfashion", path: tree({ ...lists, ...files }), size: 32 });
  return dataset;
}

const problemsOf = ({ report }: PairDataset) =>
  Object.fromEntries(report!.problems.map(({ kind, named }) => [kind, named.map(({ pair }) => pair)]));

/** A point of a pair as shares of the middle square. */
function pointOf(dataset: PairDataset, name: string, k = 0): [x: number, y: number] | undefined {
  const [x, y, seen] = pairsOf(dataset)
    .get(name)!
    .condition.subarray(3 * k);
  return seen === 0 ? undefined : [x! / 255, y! / 255];
}

/** Where a byte can say it. */
const near = (x: number, y: number) => [expect.closeTo(x, 2), expect.closeTo(y, 2)];

describe("key points of DeepFashion lie in the pictures that their CSV file is for", () => {
  const rows = table(row("a.jpg", [88, 128]), row("b.jpg", [20, 60]), row("c.jpg", [88, 128]));

  test("those of crops, in crops, in larger ones, and in the benchmark's own pictures", async () => {
    const dataset = await opened({
      "fasion-resize-annotation.csv": rows,
      "a.jpg": whole,
      "b.jpg": await picture(352, 512),
      "c.jpg": crop,
    });
    expect(problemsOf(dataset)).toEqual({});
    expect(pointOf(dataset, "a.jpg")).toEqual(near(128 / 256, 128 / 256));
    expect(pointOf(dataset, "b.jpg")).toEqual(near(20 / 176, (60 - 40) / 176));
    expect(pointOf(dataset, "c.jpg")).toEqual(near(88 / 176, (128 - 40) / 176));
    dataset.close();
  });

  test("those of the benchmark's own pictures, in crops, too", async () => {
    const dataset = await opened({ "fasion-annotation.csv": rows, "a.jpg": whole, "b.jpg": whole, "c.jpg": crop });
    expect(problemsOf(dataset)).toEqual({});
    expect(pointOf(dataset, "a.jpg")).toEqual(near(88 / 256, 128 / 256));
    expect(pointOf(dataset, "c.jpg")).toEqual(near((88 - 40) / 176, (128 - 40) / 176));
    dataset.close();
  });

  test("those of a file whose name says nothing, in the pictures as they are", async () => {
    const files = { "annotation.csv": rows, "a.jpg": await picture(300, 300), "b.jpg": whole, "c.jpg": crop };
    const dataset = await opened(files);
    expect(pointOf(dataset, "a.jpg")).toEqual(near(88 / 300, 128 / 300));
    dataset.close();
  });

  test.each([
    ["fasion-resize-annotation.csv", "176 × 256"],
    ["fasion-annotation.csv", "256 × 256"],
  ])("pictures of another shape are not those of %s", async (name, expected) => {
    const dataset = await opened({ [name]: rows, "a.jpg": whole, "b.jpg": crop, "c.jpg": await picture(190, 256) });
    expect(problemsOf(dataset)).toEqual({ "size mismatch": ["c.jpg"] });
    expect(dataset.report!.problems[0]!.named[0]!.reason).toMatch(new RegExp(`190 × 256 .*${name} .*${expected}`));
    dataset.close();
  });

  test("one that lies outside of its pictures is hidden", async () => {
    const x = [88, -7, 177, 176] as const;
    const beyond = [...x.map((column) => [column, 128] as const), [88, 257] as const];
    const rows = table(row("a.jpg", ...beyond), row("b.jpg", ...beyond));
    const dataset = await opened({ "fasion-resize-annotation.csv": rows, "a.jpg": whole, "b.jpg": crop });
    expect(problemsOf(dataset)).toEqual({});
    for (const name of ["a.jpg", "b.jpg"]) {
      const seen = beyond.map((_, k) => pointOf(dataset, name, k) !== undefined);
      expect(seen, name).toEqual([true, false, false, true, false]);
    }
    dataset.close();
  });
});

describe("CSV files of DeepFashion beside each other", () => {
  test("of crops and of what was cropped: both may be there", async () => {
    const dataset = await opened({
      "fasion-annotation-train.csv": table(row("a.jpg", [128, 128])),
      "fasion-annotation-test.csv": table(row("b.jpg", [128, 128])),
      "fasion-resize-annotation-train.csv": table(row("a.jpg", [88, 128])),
      "fasion-resize-annotation-test.csv": table(row("b.jpg", [88, 128])),
      "a.jpg": crop,
      "b.jpg": whole,
    });
    expect(problemsOf(dataset)).toEqual({});
    expect(pointOf(dataset, "a.jpg")).toEqual(near(0.5, (128 - 40) / 176));
    expect(pointOf(dataset, "b.jpg")).toEqual(near(0.5, 0.5));
    dataset.close();
  });

  test("that differ leave an image out, and those that agree do not", async () => {
    const dataset = await opened({
      "annotation-1.csv": table(row("a.jpg", [88, 128]), row("b.jpg", [88, 128]), row("c.jpg", [88, 128])),
      "annotation-2.csv": table(row("c.jpg", [88, 129]), row("a.jpg", [88, 128])),
      "a.jpg": crop,
      "b.jpg": crop,
      "c.jpg": crop,
    });
    expect([dataset.train.ids, dataset.validation.ids]).toEqual([["a.jpg"], ["b.jpg"]]);
    expect(problemsOf(dataset)).toEqual({ "ambiguous partner": ["a.jpg", "c.jpg"] });
    dataset.close();
  });
});
