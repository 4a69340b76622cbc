import type { ImageOptions } from "@iqvae/runtime";
import { contactSheet, drawCondition, sheetSize } from "../media/index.ts";
import { loadExported, openExported } from "../run/exported.ts";
import type { Progress } from "../support/progress.ts";
import { type Chosen, fromFiles, fromHeldOut } from "./choose.ts";

/** What to draw with a model that `iqvae export` wrote. */
export interface ExportedDrawing {
  readonly condition?: readonly string[];
  readonly index?: readonly number[];
  readonly count: number;
  /** What was given; the rest is as the model says. */
  readonly sampling: ImageOptions;
}

/**
 * Draws with an exported model, without libtorch.
 *
 * @param most examples of the model that are taken when no conditions are named
 * @returns a sheet of conditions and images, as PNG, and how many conditions it has
 * @throws ModelError for a damaged folder; RangeError for a held-out pair that there is not, or where the data are unknown
 */
export async function sampleExported(
  folder: string,
  { condition, index, count, sampling }: ExportedDrawing,
  most: number,
  progress: Progress,
): Promise<{ readonly picture: Buffer; readonly conditions: number }> {
  await using generator = await loadExported(folder);
  const { condition: spec, size } = generator.model;
  const chosen: Chosen[] = await fromFiles(condition ?? [], { spec }, size);
  if (index !== undefined)
    chosen.push(
      ...(await fromHeldOut(openExported(folder, "Name conditions by --condition.").config.data, index, progress)),
    );
  if (condition === undefined && index === undefined)
    chosen.push(
      ...generator.examples
        .slice(0, most)
        .map((raster, i) => ({ name: `example ${i}`, raster, tiles: [drawCondition(raster, spec, size)] })),
    );
  if (chosen.length === 0) throw new RangeError(`${folder} has no examples. Name conditions by --condition.`);
  const sheet = (images: readonly (readonly Uint8Array[])[]) =>
    chosen.map(({ name, tiles }, i) => ({ label: name, tiles: [...tiles, ...images[i]!] }));
  sheetSize(
    chosen.map(({ name, tiles }) => ({ label: name, tiles: tiles.length + count })),
    size,
  );
  const total = chosen.length * count;
  progress.begin("drawing images", total, 0);
  const images = await generator.draw(
    chosen.map(({ raster }) => raster),
    { ...sampling, samples: count, onProgress: (share) => progress.update(Math.floor(share * total)) },
  );
  progress.end();
  return { picture: await contactSheet(sheet(images)), conditions: chosen.length };
}
