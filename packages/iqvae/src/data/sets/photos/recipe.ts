import { colorEdges } from "@iqvae/runtime";
import { type Random, seededRandom } from "../../../support/random.ts";
import type { ImageSize } from "../../dataset.ts";
import { installedVersion } from "../../licenses.ts";
import { editionsOf, type PackageSource, packageLicense } from "../../packages.ts";
import { type Recipe, spread } from "../../recipe.ts";
import { GCOMPRIS } from "./packages.ts";
import {
  cutSquare,
  decoder,
  isSubjectHeldOut,
  type Photograph,
  photographs,
  type Square,
  subjectOf,
} from "./photographs.ts";

/** Raise it whenever the pixels, the choice or the order of the pairs change. */
const VERSION = 1;

/** Squares that are cut from a photograph. */
const CROPS = 48;
/** The smallest square, as a share of a photograph's shorter side. */
const SMALLEST = 0.35;
/** Shares of a square that may be edges: less says nothing, more is texture. */
const [LEAST_EDGES, MOST_EDGES] = [0.05, 0.35];
/** Squares that are tried for one with as many edges. */
const ATTEMPTS = 8;

export interface PhotosRequest {
  readonly size: ImageSize;
  /** The most pairs, spread over all that there are. */
  readonly count: number;
}

/** How the `photos` pairs are made: squares of photographs, and their edges. A square depends on its photograph and number alone. */
export function photosRecipe({ size, count }: PhotosRequest, source: PackageSource): Recipe {
  return {
    name: "photos",
    condition: { kind: "edges" },
    facts: { group: (id) => subjectOf(id.split("#")[0]!), edgesOfImage: true },
    parts: { version: VERSION, ...editionsOf([GCOMPRIS]), sharp: installedVersion("sharp"), size, count },
    licenses: [packageLicense(GCOMPRIS)],
    async prepare() {
      // Nothing is enlarged.
      const large = (await photographs(source)).filter(({ width, height }) => Math.min(width, height) >= size);
      const all = large.flatMap((photograph) => Array.from({ length: CROPS }, (_, number) => ({ photograph, number })));
      const pairs = spread(all, count);
      const entries = pairs.map(({ photograph, number }) => ({
        id: `${photograph.id}#${number}`,
        validation: isSubjectHeldOut(subjectOf(photograph.id)),
      }));
      const decode = decoder();
      const draw = async (index: number) => {
        const { photograph, number } = pairs[index]!;
        const random = seededRandom("photos crop", size, photograph.id, number);
        for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
          const square = drawSquare(photograph, size, random);
          const image = await cutSquare(await decode(photograph), square, size);
          const condition = colorEdges(image, size);
          const share = condition.reduce((sum, edge) => sum + edge, 0) / condition.length;
          if (share >= LEAST_EDGES && share <= MOST_EDGES) return { image, condition };
        }
        return null;
      };
      return { entries, draw };
    },
  };
}

function drawSquare({ width, height }: Photograph, size: number, random: Random): Square {
  const most = Math.min(width, height);
  const least = Math.max(size, Math.ceil(SMALLEST * most));
  const side = least + Math.floor(random() * (most - least + 1));
  const left = Math.floor(random() * (width - side + 1));
  const top = Math.floor(random() * (height - side + 1));
  return { left, top, side };
}
