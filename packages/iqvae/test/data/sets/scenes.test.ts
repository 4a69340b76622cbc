import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { openDataset, SCENE_CLASSES, SCENE_GROUNDS } from "../../../src/data/index.ts";
import { sceneConcepts } from "../../../src/data/sets/scenes/recipe.ts";
import { stamp } from "../../../src/data/sets/scenes/sprites.ts";

it("has the classes that its rule gives", () => {
  expect(sceneConcepts().map(({ name }) => name)).toEqual([...SCENE_CLASSES]);
  for (const { icons } of sceneConcepts()) expect(new Set(icons.map(({ vendor }) => vendor)).size).toBe(5);
});

it("stamps a sprite into its place and nowhere else, and covers by opacity", () => {
  const red = { pixels: Uint8Array.of(255, 0, 0, 255), width: 1, height: 1 };
  const picture = new Uint8Array(8 * 8 * 3).fill(100);
  stamp(picture, 8, red, { left: 2, top: 3, width: 4, height: 2 });
  for (let at = 0; at < 64; at++) {
    const [x, y] = [at % 8, Math.floor(at / 8)];
    const inside = x >= 2 && x < 6 && y >= 3 && y < 5;
    expect([...picture.subarray(3 * at, 3 * at + 3)], `${x},${y}`).toEqual(inside ? [255, 0, 0] : [100, 100, 100]);
  }
  const faint = { pixels: Uint8Array.of(255, 0, 0, 51), width: 1, height: 1 };
  stamp(picture, 8, faint, { left: 0, top: 0, width: 1, height: 1 });
  expect([...picture.subarray(0, 3)]).toEqual([131, 80, 80]);
});

it("shows something in every box and the ground between them; layouts are distinct and split", async () => {
  const cacheDir = await mkdtemp(join(tmpdir(), "iqvae-scenes-"));
  const dataset = await openDataset({ name: "scenes", condition: "layout", size: 64, count: 300, cacheDir });
  expect(dataset.train.length + dataset.validation.length).toBe(300);
  expect(dataset.validation.length).toBeGreaterThan(12);
  expect(dataset.validation.length).toBeLessThan(60);
  const { images, conditions } = dataset.train.batch([...Array(60).keys()]);
  const grounds = SCENE_GROUNDS.map((color) => color.join());
  const counts = new Set<number>();
  for (let i = 0; i < 60; i++) {
    const image = images.subarray(i * 12288, (i + 1) * 12288);
    const color = (x: number, y: number) => image.subarray(3 * (y * 64 + x), 3 * (y * 64 + x) + 3).join();
    const boxes = Array.from({ length: 5 }, (_, n) => [
      ...conditions.subarray(25 * i + 5 * n, 25 * i + 5 * n + 5),
    ]).filter(([label]) => label! > 0);
    counts.add(boxes.length);
    const inside = (x: number, y: number) =>
      boxes.some(([, left, top, width, height]) => {
        const [u, v] = [x * (255 / 64), y * (255 / 64)];
        return u >= left! - 6 && u <= left! + width! + 2 && v >= top! - 6 && v <= top! + height! + 2;
      });
    const outside = new Set<string>();
    for (let y = 0; y < 64; y++) for (let x = 0; x < 64; x++) if (!inside(x, y)) outside.add(color(x, y));
    expect([...outside], `scene ${i}`).toHaveLength(1);
    expect(grounds).toContain([...outside][0]);
    for (const [, left, top, width, height] of boxes) {
      const drawn = Array.from({ length: 64 * 64 }, (_, at) => [at % 64, Math.floor(at / 64)] as const).filter(
        ([x, y]) =>
          x >= (left! * 64) / 255 &&
          x < ((left! + width!) * 64) / 255 &&
          y >= (top! * 64) / 255 &&
          y < ((top! + height!) * 64) / 255,
      );
      const covered = drawn.filter(([x, y]) => color(x, y) !== [...outside][0]).length / drawn.length;
      expect(covered, `scene ${i}`).toBeGreaterThan(0.2);
    }
  }
  expect([...counts].sort()).toEqual([2, 3, 4, 5]);
  dataset.close();
  await rm(cacheDir, { recursive: true });
});
