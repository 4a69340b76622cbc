import type { SampleOptions } from "@iqvae/runtime";
import { IMAGE_SIZES, type OpenRequest } from "../data/index.ts";
import { type PartialImage, readMask, readPartialImage, type SheetRow, sheetSize } from "../media/index.ts";
import type { RunFolder } from "../run/run-folder.ts";
import type { ImageGenerator } from "../sampling/generator.ts";
import type { Peers } from "../support/peers.ts";
import { share } from "../support/share.ts";
import type { Chosen } from "./choose.ts";

/** What `iqvae sample` is told of the way to draw. */
export interface WayOptions {
  readonly count: number;
  readonly complete?: string[];
  readonly mask?: string;
  readonly towardsSeed?: number;
  readonly blend?: true;
  readonly size?: number;
}

/** What to draw. */
export type Way =
  | { readonly kind: "plain" }
  | { readonly kind: "complete"; readonly files: readonly string[]; readonly mask: string | undefined }
  | { readonly kind: "seeds"; readonly to: number; readonly count: number }
  | { readonly kind: "blend"; readonly count: number }
  | { readonly kind: "larger"; readonly size: number };

/** @throws Error when options exclude one another */
export function wayOf(options: WayOptions, { config }: RunFolder): Way {
  const { complete, mask, towardsSeed, blend, size, count } = options;
  const ways: [string, Way][] = [];
  if (complete !== undefined || mask !== undefined)
    ways.push([complete === undefined ? "--mask" : "--complete", { kind: "complete", files: complete ?? [], mask }]);
  if (towardsSeed !== undefined) ways.push(["--towards-seed", { kind: "seeds", to: towardsSeed, count }]);
  if (blend) ways.push(["--blend", { kind: "blend", count }]);
  if (size !== undefined && size !== config.data.size) ways.push(["--size", { kind: "larger", size }]);
  const [first, second] = ways;
  if (second !== undefined) throw new Error(`${first![0]} and ${second[0]} draw in different ways. Give one of them.`);
  return first?.[1] ?? { kind: "plain" };
}

/** The data that held-out pairs come from: those of the run, or larger ones. */
export function dataOf({ config }: RunFolder, way: Way): OpenRequest {
  if (way.kind !== "larger") return config.data;
  const size = IMAGE_SIZES.find((each) => each === way.size && each > config.data.size);
  if (size !== undefined) return { ...config.data, size };
  const larger = IMAGE_SIZES.filter((each) => each > config.data.size);
  throw new RangeError(
    `--size ${way.size}: expected a size above the ${config.data.size} pixels of the training, ` +
      `${larger.length === 0 ? "but there is none" : `one of ${larger.join(", ")}`}.`,
  );
}

/** Fails before images are drawn that would not fit into one picture. */
export function checkSheet(way: Way, chosen: readonly Chosen[], count: number, size: number): void {
  const drawn = way.kind === "complete" ? count + 1 : count;
  const rows = chosen.map(({ name, tiles }) => ({ label: name, tiles: tiles.length + drawn }));
  sheetSize(way.kind === "blend" ? [{ label: "blend", tiles: count + 2 }] : rows, size);
}

/** A condition with what is given of its image. */
export interface ToDraw extends Chosen {
  readonly given?: PartialImage;
}

/** Looks at what was chosen, and reads what is given of images. @throws Error where a way cannot draw it */
export async function readyFor(way: Way, chosen: readonly Chosen[], size: number): Promise<ToDraw[]> {
  if (way.kind === "blend" && chosen.length !== 2)
    throw new Error(`--blend takes two conditions, but got ${chosen.length}. Name two with --index or --condition.`);
  if (way.kind !== "complete") return [...chosen];
  const given = await givenImages(way, size, chosen);
  return chosen.map((each, i) => ({ ...each, given: given[i]! }));
}

/**
 * Draws a row of tiles for each condition; for a blend, one in all. With peers each draws a part, and all get all: no image depends on what is
 * drawn beside it.
 */
export async function drawRows(
  way: Way,
  generator: ImageGenerator,
  chosen: readonly ToDraw[],
  options: SampleOptions,
  peers: Peers | undefined,
): Promise<SheetRow[]> {
  if (way.kind !== "blend") return await share(peers, chosen, (own) => rowsOf(way, generator, own, options));
  const [from, to] = chosen as [ToDraw, ToDraw];
  const images = await share(peers, steps(way.count), (shares) =>
    generator.blend(from.raster, to.raster, shares, { ...options, samples: 1 }).flat(),
  );
  return [{ label: `${from.name} → ${to.name}`, tiles: [from.tiles[0]!, ...images, to.tiles[0]!] }];
}

function rowsOf(
  way: Exclude<Way, { kind: "blend" }>,
  generator: ImageGenerator,
  chosen: readonly ToDraw[],
  options: SampleOptions,
): SheetRow[] {
  const rasters = chosen.map(({ raster }) => raster);
  const rows = (images: readonly (readonly Uint8Array[])[]): SheetRow[] =>
    chosen.map(({ name, tiles, given }, i) => ({
      label: name,
      tiles: [...tiles, ...(given === undefined ? [] : [shownGiven(given)]), ...images[i]!],
    }));
  switch (way.kind) {
    case "plain":
      return rows(generator.draw(rasters, options));
    case "complete":
      return rows(
        generator.complete(
          rasters,
          chosen.map(({ given }) => given!),
          options,
        ),
      );
    case "seeds":
      return rows(betweenSeeds(way, generator, rasters, options));
    case "larger": {
      const { size } = way;
      return rows(generator.drawLarger(rasters, { ...options, size: { height: size, width: size } }));
    }
  }
}

/** `count` shares from 0 to 1. */
function steps(count: number): number[] {
  return Array.from({ length: count }, (_, i) => (count === 1 ? 0 : i / (count - 1)));
}

function betweenSeeds(
  { to, count }: { readonly to: number; readonly count: number },
  generator: ImageGenerator,
  rasters: readonly Uint8Array[],
  options: SampleOptions,
): Uint8Array[][] {
  const frames = steps(count).map((share, i) =>
    generator.draw(rasters, {
      ...options,
      samples: 1,
      noise: { kind: "between", to, share },
      onProgress: (part) => options.onProgress?.((i + part) / count),
    }),
  );
  return rasters.map((_, i) => frames.map((frame) => frame[i]![0]!));
}

async function givenImages(
  { files, mask }: { readonly files: readonly string[]; readonly mask: string | undefined },
  size: number,
  chosen: readonly Chosen[],
): Promise<PartialImage[]> {
  if (files.length > 1 && files.length !== chosen.length)
    throw new Error(
      `--complete: expected one file, or one for each of ${chosen.length} conditions, got ${files.length}.`,
    );
  if (files.length > 0) {
    const read = await Promise.all(files.map((file) => readPartialImage(file, mask, size)));
    return chosen.map((_, i) => read[i] ?? read[0]!);
  }
  const shared = await readMask(mask!, size);
  return chosen.map(({ image }) => {
    if (image === undefined)
      throw new Error("--mask: a condition from a file has no image of its own. Name one with --complete.");
    return { image, mask: shared };
  });
}

/** What is given, on gray. */
function shownGiven({ image, mask }: PartialImage): Uint8Array {
  return image.map((value, i) => (mask[Math.floor(i / 3)] === 0 ? 128 : value));
}
