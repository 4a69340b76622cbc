import { plain } from "../../../media/svg.ts";
import { type Random, seededRandom } from "../../../support/random.ts";
import type { PairEntry } from "../../cache.ts";
import type { ConditionSpec, ImageSize } from "../../dataset.ts";
import type { PairFacts } from "../../facts.ts";
import { installedVersion } from "../../licenses.ts";
import type { Recipe } from "../../recipe.ts";
import { drawFace, drawLines, drawSemanticMap, FACE_CLASSES, layOut } from "./draw.ts";
import { type FaceGeometry, type FaceSplit, faceGeometry, faceGeometryOf, faceId, isHeldOut } from "./geometry.ts";
import { openColors } from "./open-colors.ts";
import { drawColors, type FaceColors } from "./palettes.ts";

/** Raise it whenever the pixels of a face change. */
const VERSION = 2;

/** What decides the `faces` data set. */
export interface FacesRequest {
  readonly condition: "semantic" | "lines";
  readonly size: ImageSize;
  readonly count: number;
  readonly seed: number;
  readonly split: FaceSplit;
}

/** How the `faces` pairs are drawn. */
export function facesRecipe({ condition, size, count, seed, split }: FacesRequest): Recipe {
  const spec: ConditionSpec =
    condition === "semantic" ? { kind: "semantic", classes: FACE_CLASSES } : { kind: "lines" };
  const version = installedVersion("facesjs");
  return {
    name: "faces",
    condition: spec,
    facts: FACE_FACTS,
    parts: {
      version: VERSION,
      facesjs: version,
      sharp: installedVersion("sharp"),
      condition,
      size,
      count,
      seed,
      split,
    },
    licenses: [
      {
        package: "facesjs",
        version,
        author: "Jeremy Scheff and contributors",
        license: "Apache-2.0",
        url: "https://github.com/zengm-games/facesjs",
      },
    ],
    prepare() {
      const geometries = Array.from({ length: count }, (_, index) => faceGeometry(seed, index));
      const entries: PairEntry[] = geometries.map((geometry, index) => ({
        id: faceId(seed, index),
        validation: isHeldOut(geometry, split),
      }));
      const draw = async (index: number) => {
        const drawing = layOut(geometries[index]!);
        // The name is part of the seed: with another, every face would have other colors.
        const colors = drawColors(seededRandom("face colours", seed, index));
        const drawCondition = condition === "semantic" ? drawSemanticMap : drawLines;
        const [image, map] = await Promise.all([drawFace(drawing, colors, size), drawCondition(drawing, size)]);
        return { image, condition: map };
      };
      return { entries, draw };
    },
  };
}

const FACE_FACTS: PairFacts = {
  trueImages: (id, count, size, random) => recolorFace(faceGeometryOf(id), count, size, random),
  open: {
    what: "colors",
    of: async (id, size) => openColors(await renderFaceCondition(faceGeometryOf(id), "semantic", size)),
  },
};

/**
 * Draws true images of one shape, each in colors drawn anew: samples of the distribution that `FACE_PALETTES` documents,
 * to hold the diversity of generated images against.
 *
 * @returns RGB bytes `[count, size, size, 3]`
 */
export async function recolorFace(
  geometry: FaceGeometry,
  count: number,
  size: ImageSize,
  random: Random,
): Promise<Uint8Array> {
  const drawing = layOut(geometry);
  const colors = Array.from({ length: count }, () => drawColors(random));
  const images = await Promise.all(colors.map((one) => drawFace(drawing, one, size)));
  return plain(Buffer.concat(images));
}

/**
 * Draws one shape in the given colors.
 *
 * @returns RGB bytes `[size, size, 3]`
 */
export async function renderFace(geometry: FaceGeometry, colors: FaceColors, size: ImageSize): Promise<Uint8Array> {
  return await drawFace(layOut(geometry), colors, size);
}

/**
 * Draws the condition of a shape.
 *
 * @returns `[size, size]`: class numbers into `FACE_CLASSES`, or 0 and 1 for lines
 */
export async function renderFaceCondition(
  geometry: FaceGeometry,
  condition: FacesRequest["condition"],
  size: ImageSize,
): Promise<Uint8Array> {
  return await (condition === "semantic" ? drawSemanticMap : drawLines)(layOut(geometry), size);
}
