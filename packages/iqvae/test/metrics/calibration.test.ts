import { describe, expect, test } from "vitest";
import {
  drawColours,
  FACE_PALETTES,
  faceGeometry,
  recolourFace,
  renderFace,
  renderFaceCondition,
  seededRandom,
} from "../../src/data/index.ts";
import { calibration } from "../../src/metrics/calibration.ts";

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

describe("calibration of colors", () => {
  test("true images cover their palettes as often as true draws do", async () => {
    const faces = await Promise.all(
      (await maps(20)).map(async ({ geometry, map }, i) => ({
        map,
        images: split(await recolourFace(geometry, SAMPLES, SIZE, seededRandom("calibration", i))),
      })),
    );
    const { regions, mean } = calibration(faces, SIZE);
    expect(Object.keys(regions)).toEqual(["skin", "hair", "jersey", "background"]);
    for (const name of ["skin", "background"]) {
      const { coverage, expectedCoverage, pooledTotalVariation } = regions[name]!;
      expect(coverage, name).toBeCloseTo(expectedCoverage, 1);
      expect(pooledTotalVariation, name).toBeLessThan(0.1);
    }
    expect(mean.coverage).toBeGreaterThan(0.85 * mean.expectedCoverage);
    expect(regions.background!.readings).toBe(20 * SAMPLES);
  });

  test("one color for all is as far from the palette as can be", async () => {
    const fixed = {
      ...drawColours(seededRandom("one")),
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
    const { regions } = calibration(faces, SIZE);
    for (const [name, colors] of [
      ["skin", 11],
      ["background", 8],
    ] as const) {
      expect(regions[name]!.totalVariation, name).toBeCloseTo(1 - 1 / colors, 10);
      expect(regions[name]!.coverage, name).toBeCloseTo(1 / colors, 10);
    }
  });

  test("a color for each condition looks right in the pool, and is caught condition by condition", async () => {
    const faces = await Promise.all(
      (await maps(60)).map(async ({ geometry, map }, i) => {
        const image = await renderFace(geometry, { ...drawColours(seededRandom("each", i)), shave: 0 }, SIZE);
        return { map, images: Array.from({ length: SAMPLES }, () => image) };
      }),
    );
    const { skin } = calibration(faces, SIZE).regions;
    expect(skin!.pooledTotalVariation).toBeLessThan(0.3);
    expect(skin!.totalVariation).toBeGreaterThan(0.85);
  });

  test("says when there is nothing to read", () => {
    expect(() => calibration([], SIZE)).toThrow(/no image in which a region could be read/);
  });
});
