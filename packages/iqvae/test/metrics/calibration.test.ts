import { describe, expect, test } from "vitest";
import {
  drawColors,
  FACE_PALETTES,
  faceGeometry,
  recolorFace,
  renderFace,
  renderFaceCondition,
} from "../../src/data/index.ts";
import { openColors } from "../../src/data/sets/faces/open-colors.ts";
import { NAMED_FACTS } from "../../src/data/sets/words/facts.ts";
import { calibration, readTraits } from "../../src/metrics/calibration/calibrate.ts";
import { spreadOf } from "../../src/metrics/calibration/spread.ts";
import { imageSet } from "../../src/metrics/image-set.ts";
import { realImages } from "../../src/metrics/real-images.ts";
import { seededRandom } from "../../src/support/random.ts";

const SIZE = 32;
const SAMPLES = 24;

async function maps(count: number) {
  const geometries = Array.from({ length: count }, (_, i) => faceGeometry(5, i));
  const drawn = await Promise.all(geometries.map((geometry) => renderFaceCondition(geometry, "semantic", SIZE)));
  return geometries.map((geometry, i) => ({ geometry, map: drawn[i]! }));
}

function split(pixels: Uint8Array): Uint8Array[] {
  const length = SIZE * SIZE * 3;
  return Array.from({ length: pixels.length / length }, (_, i) => pixels.subarray(i * length, (i + 1) * length));
}

const colorsOf = (faces: readonly { map: Uint8Array; images: readonly Uint8Array[] }[]) =>
  spreadOf(faces.flatMap(({ map, images }) => readTraits(openColors(map), images, SIZE)));

describe("calibration of colors", () => {
  test("true images cover their palettes as often as true draws do", async () => {
    const faces = await Promise.all(
      (await maps(20)).map(async ({ geometry, map }, i) => ({
        map,
        images: split(await recolorFace(geometry, SAMPLES, SIZE, seededRandom("calibration", i))),
      })),
    );
    const { traits, mean } = colorsOf(faces);
    expect(Object.keys(traits)).toEqual(["skin", "hair", "jersey", "background"]);
    for (const name of ["skin", "background"]) {
      const { coverage, expectedCoverage, pooledTotalVariation } = traits[name]!;
      expect(coverage, name).toBeCloseTo(expectedCoverage, 1);
      expect(pooledTotalVariation, name).toBeLessThan(0.1);
    }
    expect(mean.coverage).toBeGreaterThan(0.85 * mean.expectedCoverage);
    expect(traits.background!.readings).toBe(20 * SAMPLES);
  });

  test("one color for all is as far from the palette as can be", async () => {
    const fixed = {
      ...drawColors(seededRandom("one")),
      skin: FACE_PALETTES.skin[3],
      background: FACE_PALETTES.background[1],
      shave: 0,
    };
    const faces = await Promise.all(
      (await maps(6)).map(async ({ geometry, map }) => {
        const image = await renderFace(geometry, fixed, SIZE);
        return { map, images: Array.from({ length: SAMPLES }, () => image) };
      }),
    );
    const { traits } = colorsOf(faces);
    for (const [name, colors] of [
      ["skin", 11],
      ["background", 8],
    ] as const) {
      expect(traits[name]!.totalVariation, name).toBeCloseTo(1 - 1 / colors, 10);
      expect(traits[name]!.coverage, name).toBeCloseTo(1 / colors, 10);
    }
  });

  test("a color for each condition looks right in the pool, and is caught condition by condition", async () => {
    const faces = await Promise.all(
      (await maps(60)).map(async ({ geometry, map }, i) => {
        const image = await renderFace(geometry, { ...drawColors(seededRandom("each", i)), shave: 0 }, SIZE);
        return { map, images: Array.from({ length: SAMPLES }, () => image) };
      }),
    );
    const { skin } = colorsOf(faces).traits;
    expect(skin!.pooledTotalVariation).toBeLessThan(0.3);
    expect(skin!.totalVariation).toBeGreaterThan(0.85);
  });

  test("says when there is nothing to read", () => {
    expect(() => colorsOf([])).toThrow("calibration got no image in which anything could be read.");
  });
});

describe("calibration of a data set", () => {
  const split = (pixels: Uint8Array, count: number) =>
    Array.from({ length: count }, (_, i) =>
      pixels.subarray((i * pixels.length) / count, ((i + 1) * pixels.length) / count),
    );

  test("words and speech: true images come of all vendors, and one vendor is caught", async () => {
    const ids = ["lemon/noto/x", "ant/twemoji/x", "owl/openmoji/x"];
    const dataset = {
      facts: NAMED_FACTS,
      size: SIZE,
      train: { length: 0, batch: () => ({ images: new Uint8Array(SIZE ** 2 * 3), conditions: new Uint8Array(1) }) },
    };
    const { own, isOfConditions } = await realImages(dataset as never, ids, 100, 1);
    expect(isOfConditions).toBe(true);
    const { mean, traits } = await calibration(NAMED_FACTS.open!, ids, own!);
    expect(mean.coverage).toBe(1);
    expect(mean.totalVariation).toBeLessThan(0.2);
    expect(traits.vendor!.readings).toBe(300);
    // Noise on top does not change what is nearest.
    const random = seededRandom("noise");
    const noisy = own!.pixels.map((value) => Math.max(0, Math.min(255, value + 60 * (random() - 0.5))));
    expect(await calibration(NAMED_FACTS.open!, ids, imageSet(noisy, SIZE))).toEqual({ mean, traits });
    const first = ids.flatMap((_, c) => Array(100).fill(split(own!.pixels, 300)[100 * c]!) as Uint8Array[]);
    const stuck = await calibration(NAMED_FACTS.open!, ids, imageSet(new Uint8Array(Buffer.concat(first)), SIZE));
    expect(stuck.mean.totalVariation).toBeCloseTo(0.8, 10);
    expect(stuck.mean.coverage).toBeCloseTo(0.2, 10);
    await expect(calibration(NAMED_FACTS.open!, ["no such thing/noto/x"], own!)).rejects.toThrow(
      'drawingsOf("no such thing/noto/x"): expected an id of the data sets words or speech',
    );
  });
});
