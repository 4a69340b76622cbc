import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { textOf } from "../../../src/conditions/index.ts";
import { openDataset } from "../../../src/data/index.ts";
import { cutOuts, mirrored, STAMP_CLASSES } from "../../../src/data/sets/stamps/cut-outs.ts";
import {
  GROUND_FILES,
  MATE_BACKGROUNDS,
  STAMP_FOLDERS,
  STAMP_ROOT,
  TUX_PAINT,
} from "../../../src/data/sets/stamps/packages.ts";
import { STAMP_LAYOUT, type StampCondition } from "../../../src/data/sets/stamps/recipe.ts";
import { drawBoxes, fitting, type Stamps } from "../../../src/data/sets/stamps/scene.ts";
import { packageFolderOf } from "../../../src/support/packages.ts";
import { seededRandom } from "../../../src/support/random.ts";
import { temporaryCache, unpackInto } from "./photographs.ts";

/** A stamp as it is packed: a red rectangle in many shades, with a transparent margin of 3 pixels; blue where it is a drawing. */
async function stampFile(width: number, height: number, isDrawing = false): Promise<Buffer> {
  const bytes = Buffer.alloc((width + 6) * (height + 6) * 4);
  for (let y = 3; y < height + 3; y++) {
    for (let x = 3; x < width + 3; x++) {
      const shade: readonly number[] = isDrawing
        ? [0, 0, 255, 255]
        : [160 + ((5 * x) % 96), (4 * y) % 80, (4 * x) % 64, 255];
      bytes.set(shade, 4 * (y * (width + 6) + x));
    }
  }
  const raw = { width: width + 6, height: height + 6, channels: 4 } as const;
  return await sharp(bytes, { raw }).png().toBuffer();
}

const SHAPES = [
  [40, 40],
  [90, 30],
  [30, 60],
] as const;
/** What the grounds of the test are: each plain, none of them red. */
const GRAYS = [70, 90, 110, 130, 150];

async function cacheWithStamps(): Promise<string> {
  const cache = temporaryCache();
  for (const folders of Object.values(STAMP_FOLDERS)) {
    for (const folder of folders) {
      const files = SHAPES.map(
        async ([w, h], i) => [`${STAMP_ROOT}/${folder}/thing${i}.png`, await stampFile(w, h)] as const,
      );
      unpackInto(cache, TUX_PAINT, Object.fromEntries(await Promise.all(files)));
      unpackInto(cache, TUX_PAINT, {
        [`${STAMP_ROOT}/${folder}/drawing.png`]: await stampFile(80, 20, true),
        [`${STAMP_ROOT}/${folder}/hedgehog.png`]: await stampFile(20, 80),
        [`${STAMP_ROOT}/${folder}/thing0.txt`]: "A thing.",
        [`${STAMP_ROOT}/${folder}/cartoon/other.png`]: "never read",
      });
    }
  }
  unpackInto(cache, TUX_PAINT, { "usr/share/doc/tuxpaint-stamps-default/copyright": "GPL-2" });
  const grounds = GROUND_FILES.map(async (file, i) => {
    const background = { r: GRAYS[i]!, g: GRAYS[i]!, b: GRAYS[i]! };
    return [
      file,
      await sharp({ create: { width: 640, height: 400, channels: 3, background } })
        .jpeg()
        .toBuffer(),
    ] as const;
  });
  unpackInto(cache, MATE_BACKGROUNDS, Object.fromEntries(await Promise.all(grounds)));
  unpackInto(cache, MATE_BACKGROUNDS, { "usr/share/doc/mate-backgrounds/copyright": "GPL-2+" });
  return cache;
}

const open = (cacheDir: string, condition: StampCondition, count = 150) =>
  openDataset({ name: "stamps", condition, size: 64, count, cacheDir });

const isRed = (image: Uint8Array, at: number) => image[3 * at]! > image[3 * at + 1]! + 40;
const LENGTH = 64 * 64 * 3;

/** Class + 1, left, top, width and height of each box. */
function boxesOf(bytes: Uint8Array): [number, number, number, number, number][] {
  const boxes = Array.from({ length: bytes.length / 5 }, (_, i) => [...bytes.subarray(5 * i, 5 * i + 5)]);
  return boxes.filter(([label]) => label) as [number, number, number, number, number][];
}

describe("stamps", () => {
  it("stand in their boxes and nowhere else, on one of the grounds", async () => {
    const dataset = await open(await cacheWithStamps(), "layout");
    expect(dataset.condition).toEqual(STAMP_LAYOUT);
    expect(dataset.train.length + dataset.validation.length).toBe(150);
    expect(dataset.validation.length).toBeGreaterThan(4);
    const { images, conditions } = dataset.train.batch([...Array(80).keys()]);
    const grounds = new Set<number>();
    for (let i = 0; i < 80; i++) {
      const image = images.subarray(i * LENGTH, (i + 1) * LENGTH);
      const boxes = boxesOf(conditions.subarray(15 * i, 15 * i + 15));
      expect(boxes.length).toBeGreaterThan(0);
      for (let at = 0; at < 64 * 64; at++) {
        // In 0 … 255 of the side.
        const [x, y] = [(((at % 64) + 0.5) * 255) / 64, ((Math.floor(at / 64) + 0.5) * 255) / 64];
        const inside = boxes.some(([, l, t, w, h]) => x > l + 4 && y > t + 4 && x < l + w - 4 && y < t + h - 4);
        const near = boxes.some(([, l, t, w, h]) => x > l - 4 && y > t - 4 && x < l + w + 4 && y < t + h + 4);
        if (inside && !isRed(image, at)) throw new Error(`${i}: nothing at ${x}, ${y}`);
        if (near) continue;
        const nearest = GRAYS.findIndex((gray) => Math.abs(image[3 * at]! - gray) < 4);
        if (nearest === -1 || isRed(image, at)) throw new Error(`${i}: no ground at ${x}, ${y}`);
        grounds.add(nearest);
      }
    }
    expect(grounds.size).toBe(5);
    dataset.close();
  });

  it("cover in the map what they cover in the picture, by class", async () => {
    const cache = await cacheWithStamps();
    const [maps, layouts] = [await open(cache, "semantic"), await open(cache, "layout")];
    expect(maps.condition).toMatchObject({ classes: [{ name: "ground" }, ...STAMP_CLASSES] });
    expect(maps.train.ids).toEqual(layouts.train.ids);
    const rows = [...Array(40).keys()];
    const { images, conditions } = maps.train.batch(rows);
    expect(images).toEqual(layouts.train.batch(rows).images);
    const boxes = layouts.train.batch(rows).conditions;
    rows.forEach((i) => {
      const map = conditions.subarray(i * 4096, (i + 1) * 4096);
      const image = images.subarray(i * LENGTH, (i + 1) * LENGTH);
      const off = map.filter((label, at) => label > 0 !== isRed(image, at)).length;
      expect(off / 4096).toBeLessThan(0.05);
      const labels = boxesOf(boxes.subarray(15 * i, 15 * i + 15)).map(([label]) => label);
      expect(new Set(map.filter((label) => label > 0))).toEqual(new Set(labels));
    });
    maps.close();
    layouts.close();
  });

  it("are told in words, and companies of things are held out whole", async () => {
    const dataset = await open(await cacheWithStamps(), "text", 1500);
    const captions = (part: "train" | "validation") => {
      const { length, batch, ids } = dataset[part];
      const { conditions } = batch([...Array(length).keys()]);
      return ids.map((id, i) => {
        const caption = textOf(conditions.subarray(40 * i, 40 * i + 40));
        expect(dataset.facts!.group!(id)).toBe(caption);
        return caption;
      });
    };
    const [train, held] = [new Set(captions("train")), new Set(captions("validation"))];
    expect(held.size).toBeGreaterThan(10);
    expect([...held].filter((caption) => train.has(caption))).toEqual([]);
    for (const { name } of STAMP_CLASSES) expect(train).toContain(name);
    for (const caption of [...train, ...held]) expect(caption.split(", ").sort().join(", ")).toBe(caption);
    dataset.close();
  });

  it("leave open what the condition does not say", async () => {
    const cache = await cacheWithStamps();
    const varied = async (condition: StampCondition) => {
      const dataset = await open(cache, condition);
      const row = dataset.train.ids.findIndex((_, i) => i > 3);
      const id = dataset.train.ids[row]!;
      const drawn = await dataset.facts!.trueImages!(id, 24, 64, seededRandom("true", condition));
      expect(drawn.length).toBe(24 * LENGTH);
      const images = Array.from({ length: 24 }, (_, i) => drawn.subarray(i * LENGTH, (i + 1) * LENGTH));
      const masks = images.map((image) => Array.from({ length: 4096 }, (_, at) => (isRed(image, at) ? 1 : 0)).join(""));
      dataset.close();
      return {
        grounds: new Set(images.map((image) => GRAYS.find((gray) => Math.abs(image[0]! - gray) < 4))).size,
        masks: new Set(masks).size,
      };
    };
    const [semantic, text] = [await varied("semantic"), await varied("text")];
    expect(semantic.grounds).toBeGreaterThan(2);
    expect(text.grounds).toBeGreaterThan(2);
    // The silhouettes stay where the map shows them, but for the ground that shines through at their borders.
    expect(semantic.masks).toBeLessThan(text.masks);
    expect(text.masks).toBe(24);
    const dataset = await open(cache, "layout");
    await expect(dataset.facts!.trueImages!("scene-0-1", 1, 64, Math.random)).rejects.toThrow("stamps-0-17");
    dataset.close();
  });

  it("are cut to what is opaque; drawings and folders within folders are left out", async () => {
    const cache = await cacheWithStamps();
    const objects = await cutOuts(async (wanted) => packageFolderOf(wanted, cache));
    expect(objects.length).toBe(12);
    const birds = objects[0]!.map(({ width, height }) => [width, height]);
    expect(birds).toEqual(SHAPES);
    const [first] = objects[0]!;
    const turned = mirrored(first!);
    expect(turned.pixels.subarray(0, 4)).toEqual(first!.pixels.subarray(4 * 39, 4 * 40));
    expect(mirrored(turned)).toEqual(first);
  });

  it("are stretched by 1.3 at most, and each that fits a box may stand in it", async () => {
    const cache = await cacheWithStamps();
    const objects = await cutOuts(async (wanted) => packageFolderOf(wanted, cache));
    const stamps: Stamps = { objects, grounds: [] };
    const box = { label: 0, left: 0, top: 0, height: 100 };
    expect(fitting({ ...box, width: 110 }, stamps).map(({ width }) => width)).toEqual([40]);
    expect(fitting({ ...box, width: 55 }, stamps).map(({ width }) => width)).toEqual([30]);
    for (let i = 0; i < 50; i++) {
      const boxes = drawBoxes([3, 0, 7], stamps, seededRandom("boxes", i));
      expect(boxes.map(({ label }) => label)).toEqual([3, 0, 7]);
      for (const each of boxes) expect(fitting(each, stamps).length).toBeGreaterThan(0);
    }
  });
});
