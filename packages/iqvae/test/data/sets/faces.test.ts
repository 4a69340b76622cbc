import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  drawColors,
  FACE_CLASSES,
  FACE_PALETTES,
  type FaceColors,
  faceGeometry,
  faceGeometryOf,
  geometryHash,
  openDataset,
  type PairDataset,
  recolorFace,
  renderFace,
  renderFaceCondition,
  SHAVED_SHARE,
  UNSEEN_PARTS,
} from "../../../src/data/index.ts";
import { drawLines, layOut } from "../../../src/data/sets/faces/draw.ts";
import { isHeldOut } from "../../../src/data/sets/faces/geometry.ts";
import { seededRandom } from "../../../src/support/random.ts";

let cacheDir: string;
beforeAll(async () => {
  cacheDir = await mkdtemp(join(tmpdir(), "iqvae-faces-"));
});
afterAll(() => rm(cacheDir, { recursive: true }));

const classNumber = (name: (typeof FACE_CLASSES)[number]["name"]) => FACE_CLASSES.findIndex((c) => c.name === name);
const everything = ({ train, validation }: PairDataset) =>
  [train, validation].map((part) => part.batch([...Array(part.length).keys()]));

describe("faces", () => {
  it("draws equal bytes for equal seeds, also when two are drawn at once, and others for another seed", async () => {
    const open = (seed: number, folder: string) =>
      openDataset({
        name: "faces",
        condition: "semantic",
        size: 32,
        count: 30,
        seed,
        cacheDir: join(cacheDir, folder),
      });
    const [a, b, other] = await Promise.all([open(5, "a"), open(5, "b"), open(6, "a")]);
    expect(everything(a)).toEqual(everything(b));
    expect(a.train.ids).toEqual(b.train.ids);
    expect(everything(a)).not.toEqual(everything(other));
    for (const dataset of [a, b, other]) dataset.close();
  });

  it("leaves Math.random as it was", () => {
    const before = Math.random;
    faceGeometry(0, 0);
    expect(Math.random).toBe(before);
  });

  it("only adds pairs when more are asked for", async () => {
    const open = (count: number) => openDataset({ name: "faces", condition: "lines", size: 32, count, cacheDir });
    const [few, many] = [await open(12), await open(24)];
    expect(many.train.ids.slice(0, few.train.length)).toEqual(few.train.ids);
    const numbers = [...Array(few.train.length).keys()];
    expect(many.train.batch(numbers)).toEqual(few.train.batch(numbers));
    few.close();
    many.close();
  });

  it("names each pair so that its geometry can be found again", async () => {
    const dataset = await openDataset({
      name: "faces",
      condition: "semantic",
      size: 32,
      count: 20,
      seed: -3,
      cacheDir,
    });
    const index = 4;
    const { conditions } = dataset.train.batch([index]);
    const geometry = faceGeometryOf(dataset.train.ids[index]!);
    expect(await renderFaceCondition(geometry, "semantic", 32)).toEqual(conditions);
    dataset.close();
    expect(() => faceGeometryOf("cat/noto/cat")).toThrow(/expected an id of the faces data set, face-SEED-INDEX/);
  });

  it("puts no geometry into both parts, and about a tenth into validation", () => {
    const geometries = Array.from({ length: 3000 }, (_, index) => faceGeometry(1, index));
    const held = geometries.filter((geometry) => isHeldOut(geometry, "geometry"));
    const train = new Set(geometries.filter((g) => !isHeldOut(g, "geometry")).map(geometryHash));
    expect(held.some((geometry) => train.has(geometryHash(geometry)))).toBe(false);
    // Five standard deviations.
    expect(Math.abs(held.length - 300)).toBeLessThan(5 * Math.sqrt(3000 * 0.1 * 0.9));
    expect(new Set(geometries.map(geometryHash)).size).toBe(3000);
  });

  it("hides the unseen parts from training altogether", async () => {
    const request = { name: "faces", condition: "lines", size: 32, count: 60, cacheDir } as const;
    const dataset = await openDataset({ ...request, split: "unseen-parts" as const });
    const unseen = (id: string) => {
      const { hair, head } = faceGeometryOf(id);
      return UNSEEN_PARTS.hair.some((part) => part === hair.id) || UNSEEN_PARTS.head.some((part) => part === head.id);
    };
    expect(dataset.train.ids.some(unseen)).toBe(false);
    expect(dataset.validation.ids.every(unseen)).toBe(true);
    expect(dataset.validation.length).toBeGreaterThan(2);
    dataset.close();
  });

  it("splits by shape, not by color: the geometry holds no color, and draws every part but hats", () => {
    const geometries = Array.from({ length: 1500 }, (_, index) => faceGeometry(2, index));
    expect(geometries.some((geometry) => /#[0-9a-f]{3}/i.test(JSON.stringify(geometry)))).toBe(false);
    expect(geometries.some(({ accessories }) => accessories.id.includes("hat"))).toBe(false);
    expect(new Set(geometries.map(({ hair }) => hair.id)).size).toBe(51);
  });
});

describe("the semantic map", () => {
  // Colors that no other paint of facesjs has.
  const colors: FaceColors = { ...drawColors(seededRandom(0)), background: "#00ff00", hair: "#ff00ff", shave: 0 };
  const isColor = (image: Uint8Array, at: number, color: readonly number[]) =>
    color.every((value, channel) => image[3 * at + channel] === value);
  const inside = (map: Uint8Array, size: number, at: number) => {
    const [x, y] = [at % size, Math.floor(at / size)];
    if (x === 0 || y === 0 || x === size - 1 || y === size - 1) return false;
    return [-1, 0, 1].every((dy) => [-1, 0, 1].every((dx) => map[at + dy * size + dx] === map[at]));
  };

  it.each([32, 64, 128, 256] as const)(
    "lies on the image at %i px: background on background, hair on hair",
    async (size) => {
      const hairy = new Set(
        ["hair", "eyebrow", "facial hair"].map((name) => FACE_CLASSES.findIndex((c) => c.name === name)),
      );
      const background = classNumber("background");
      const count = { green: 0, greenMisplaced: 0, hair: 0, hairMisplaced: 0, open: 0, openButNotGreen: 0 };
      for (let index = 0; index < 8; index++) {
        const geometry = faceGeometry(3, index);
        const [image, map] = await Promise.all([
          renderFace(geometry, colors, size),
          renderFaceCondition(geometry, "semantic", size),
        ]);
        map.forEach((label, at) => {
          const isGreen = isColor(image, at, [0, 255, 0]);
          const isHair = isColor(image, at, [255, 0, 255]);
          const isOpen = label === background && inside(map, size, at);
          count.green += Number(isGreen);
          count.greenMisplaced += Number(isGreen && label !== background);
          count.hair += Number(isHair);
          count.hairMisplaced += Number(isHair && !hairy.has(label));
          count.open += Number(isOpen);
          count.openButNotGreen += Number(isOpen && !isGreen);
        });
      }
      expect(count.green).toBeGreaterThan(size * size);
      expect(count.hair).toBeGreaterThan(50);
      expect(count).toMatchObject({ greenMisplaced: 0, hairMisplaced: 0 });
      // A strand of hair that covers less than half of a pixel is in the image but not in the map.
      expect(count.openButNotGreen).toBeLessThan(0.01 * count.open);
    },
  );

  it("keeps to the classes and uses all of them", async () => {
    const dataset = await openDataset({ name: "faces", condition: "semantic", size: 32, count: 80, cacheDir });
    const seen = new Set(everything(dataset).flatMap(({ conditions }) => [...conditions]));
    expect([...seen].sort((a, b) => a - b)).toEqual([...FACE_CLASSES.keys()]);
    dataset.close();
  });

  it("stays the same when a face is recolored, while the images differ", async () => {
    const geometry = faceGeometry(4, 1);
    const before = await renderFaceCondition(geometry, "semantic", 32);
    const images = await recolorFace(geometry, 3, 32, seededRandom("recolor"));
    expect(await renderFaceCondition(geometry, "semantic", 32)).toEqual(before);
    const [first, second] = [images.subarray(0, 3072), images.subarray(3072, 6144)];
    expect(first).not.toEqual(second);
  });
});

describe("the line drawing", () => {
  it("shows the black of the image and nothing that depends on colors", async () => {
    const size = 128;
    for (let index = 0; index < 5; index++) {
      const geometry = faceGeometry(7, index);
      const pale: FaceColors = {
        skin: "#ffffff",
        hair: "#ffffff",
        primary: "#ffffff",
        secondary: "#ffffff",
        accent: "#ffffff",
        background: "#ffffff",
        shave: 0,
      };
      const [image, lines] = await Promise.all([renderFace(geometry, pale, size), drawLines(layOut(geometry), size)]);
      expect(lines.every((value) => value <= 1)).toBe(true);
      const black = [...lines.keys()].filter((at) => image[3 * at]! < 40 && image[3 * at + 2]! < 40);
      expect(black.length).toBeGreaterThan(100);
      expect(black.every((at) => lines[at] === 1)).toBe(true);
    }
  });
});

describe("the colors", () => {
  it("follow the documented palettes: even, and independent of one another", () => {
    const random = seededRandom("palettes");
    const draws = Array.from({ length: 8800 }, () => drawColors(random));
    const share = (test: (colors: FaceColors) => boolean) => draws.filter(test).length / draws.length;
    for (const skin of FACE_PALETTES.skin) expect(share((c) => c.skin === skin)).toBeCloseTo(1 / 11, 1);
    for (const background of FACE_PALETTES.background) {
      expect(share((c) => c.background === background)).toBeCloseTo(1 / 8, 1);
    }
    expect(share((c) => c.shave > 0)).toBeCloseTo(SHAVED_SHARE, 1);
    const [skin, hair] = [FACE_PALETTES.skin[0], FACE_PALETTES.hair[0]];
    expect(Math.abs(share((c) => c.skin === skin && c.hair === hair) - 1 / 110)).toBeLessThan(0.005);
    expect(Math.max(...draws.map((c) => c.shave))).toBeLessThan(0.2);
  });
});
