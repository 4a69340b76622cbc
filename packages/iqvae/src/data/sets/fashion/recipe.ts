import { type ConditionSpec, textBytes } from "../../../conditions/index.ts";
import { scaleRaster } from "../../../media/raster.ts";
import { choose } from "../../../support/random.ts";
import type { ImageSize, SemanticClass } from "../../dataset.ts";
import type { PairFacts } from "../../facts.ts";
import { installedVersion } from "../../licenses.ts";
import { once } from "../../once.ts";
import { editionsOf, type PackageSource, packageLicense } from "../../packages.ts";
import { type Recipe, spread } from "../../recipe.ts";
import { CAPTION } from "../words/captions.ts";
import { FASHION_KINDS, type FashionPart, fashion, GARMENT_SIDE, type Garments, silhouette } from "./garments.ts";
import { FASHION } from "./packages.ts";

/** Raise it whenever the pixels, the conditions or the order of the pairs change. */
const VERSION = 1;

/** At 64 pixels a photograph is enlarged. */
export const FASHION_SIZES = [32, 64] as const satisfies readonly ImageSize[];
export type FashionSize = (typeof FASHION_SIZES)[number];

export type FashionCondition = "text" | "semantic";

const GROUND: SemanticClass = { name: "ground", color: [255, 255, 255] };

export function fashionSpec(condition: FashionCondition): ConditionSpec {
  return condition === "text" ? CAPTION : { kind: condition, classes: [GROUND, ...FASHION_KINDS] };
}

export interface FashionRequest {
  readonly condition: FashionCondition;
  readonly size: FashionSize;
  /** The most pairs, spread over all that there are. */
  readonly count: number;
}

/** How the `fashion` pairs are made, with the split of Fashion-MNIST itself. Nothing about them is random. */
export function fashionRecipe({ condition, size, count }: FashionRequest, source: PackageSource): Recipe {
  const both = once(() => fashion(source));
  return {
    name: "fashion",
    condition: fashionSpec(condition),
    ...(condition === "text" ? { facts: kindFacts(both) } : {}),
    parts: { version: VERSION, ...editionsOf([FASHION]), sharp: installedVersion("sharp"), condition, size, count },
    licenses: [packageLicense(FASHION)],
    async prepare() {
      const all = await both();
      const pairs = spread(
        (["train", "test"] as const).flatMap((part) =>
          Array.from(all[part].labels, (label, i) => ({ part, label, i })),
        ),
        count,
      );
      const entries = pairs.map(({ part, label, i }) => ({
        id: `${part}/${FASHION_KINDS[label]!.name}/${i}`,
        validation: part === "test",
      }));
      const draw = async (number: number) => {
        const { part, label, i } = pairs[number]!;
        const ink = all[part].ink(i);
        return {
          image: await garmentImage(ink, size),
          condition:
            condition === "text" ? textBytes(FASHION_KINDS[label]!.name, CAPTION) : silhouetteMap(ink, label, size),
        };
      };
      return { entries, draw };
    },
  };
}

/** A garment on white, in the middle: RGB bytes `[size, size, 3]`. */
async function garmentImage(ink: Uint8Array, size: FashionSize): Promise<Uint8Array> {
  const side = (GARMENT_SIDE * size) / 32;
  const margin = (size - side) / 2;
  const inked = side === GARMENT_SIDE ? ink : await enlarge(ink, side);
  const image = new Uint8Array(size * size * 3).fill(255);
  inked.forEach((level, at) => {
    const pixel = (margin + Math.floor(at / side)) * size + margin + (at % side);
    image.fill(255 - level, 3 * pixel, 3 * pixel + 3);
  });
  return image;
}

async function enlarge(ink: Uint8Array, side: number): Promise<Uint8Array> {
  const garment = { pixels: ink, width: GARMENT_SIDE, height: GARMENT_SIDE, channels: 1 } as const;
  return (await scaleRaster(garment, { width: side, height: side, kernel: "cubic" })).pixels;
}

function silhouetteMap(ink: Uint8Array, label: number, size: FashionSize): Uint8Array {
  const covered = silhouette(ink);
  const scale = size / 32;
  const margin = (size - GARMENT_SIDE * scale) / 2;
  const map = new Uint8Array(size * size);
  for (let y = margin; y < size - margin; y++) {
    for (let x = margin; x < size - margin; x++) {
      const at = Math.floor((y - margin) / scale) * GARMENT_SIDE + Math.floor((x - margin) / scale);
      if (covered[at] === 1) map[y * size + x] = 1 + label;
    }
  }
  return map;
}

/** Any garment of a kind is a true image of its name. True images are of the half that the pair itself is of. */
function kindFacts(both: () => Promise<Readonly<Record<FashionPart, Garments>>>): PairFacts {
  return {
    concept: (id) => kindOf(id).name,
    async trueImages(id, count, size, random) {
      const { part, name } = kindOf(id);
      const { labels, ink } = (await both())[part];
      const numbers = [...labels.keys()].filter((i) => FASHION_KINDS[labels[i]!]!.name === name);
      const images = Array.from({ length: count }, () => ink(choose(numbers, random)));
      return new Uint8Array(
        Buffer.concat(await Promise.all(images.map((each) => garmentImage(each, size as FashionSize)))),
      );
    },
  };
}

function kindOf(id: string): { part: FashionPart; name: string } {
  const [, part, name] = /^(train|test)\/([\w -]+)\/\d+$/.exec(id) ?? [];
  if (name !== undefined) return { part: part as FashionPart, name };
  throw new RangeError(`expected an id of a garment, such as "train/coat/17", got ${JSON.stringify(id)}.`);
}
