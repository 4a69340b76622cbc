import { join } from "node:path";
import { replaceFile, setNumThreads } from "@iqvae/torch";
import { Command } from "commander";
import { spreadRows } from "../data/index.ts";
import { contactSheet, readImage, sheetSize } from "../media/index.ts";
import { openRun } from "../run/run-folder.ts";
import { ImageGenerator } from "../sampling/generator.ts";
import type { Likelihood } from "../sampling/likelihood.ts";
import { type Chosen, fromFiles, fromHeldOut } from "./choose.ts";
import { consoleProgress } from "./console.ts";
import { CONDITION, collect, optionsOf, outputFile, THREADS, threads, whole } from "./options.ts";

interface LikelihoodOptions {
  readonly condition?: string[];
  readonly image?: string[];
  readonly index?: number[];
  readonly out?: string;
  readonly threads?: number;
}

/** Held-out pairs when none are named. */
const PAIRS = 4;

export function likelihoodCommand(): Command {
  return new Command("likelihood")
    .description("how likely images are under their conditions, as a trained run sees it")
    .argument("<run>", "a run folder, or its name in runs/")
    .option(...CONDITION, collect(String))
    .option("--image <file>", "the image of each --condition; may be repeated", collect(String))
    .option("--index <number>", "a held-out pair; may be repeated", collect(whole(0)))
    .option("--out <file.png>", "the picture (default: samples/likelihood.png in the run folder)")
    .option(...THREADS, threads)
    .action(async (path: string, _: unknown, command: Command) => {
      const options = optionsOf<LikelihoodOptions>(command);
      const { condition = [], image = [], index, threads } = options;
      if (condition.length !== image.length)
        throw new Error(`Expected an --image for each --condition, got ${image.length} for ${condition.length}.`);
      const progress = consoleProgress(options);
      if (threads !== undefined) setNumThreads(threads);
      const run = openRun(path);
      const out = outputFile(options.out, join(run.samples, "likelihood.png"), [...condition, ...image]);
      const { size } = run.config.data;
      using generator = ImageGenerator.load(run);
      const painted = await fromFiles(condition, generator, size);
      const shown = await Promise.all(image.map((file) => readImage(file, size)));
      const pairs: Pair[] = [
        ...painted.map((chosen, i) => ({ ...chosen, name: image[i]!, image: shown[i]! })),
        ...(condition.length > 0 && index === undefined
          ? []
          : (
              await fromHeldOut(run.config.data, index ?? (({ validation }) => spreadRows(validation, PAIRS)), progress)
            ).map((chosen) => ({ ...chosen, image: chosen.image! }))),
      ];
      sheetSize(
        pairs.map(() => ({ tiles: 3 })),
        size,
      );
      const found = generator.likelihood(
        pairs.map(({ raster }) => raster),
        pairs.map((pair) => pair.image),
      );
      const tiles = pairs.map((pair, i) => [pair.tiles[0]!, pair.image, heatTile(found[i]!, size)]);
      replaceFile(out, await contactSheet(tiles.map((row) => ({ tiles: row }))));
      pairs.forEach(({ name }, i) => {
        const { nats, bits, bitsPerToken } = found[i]!;
        const text = `${name}: ${nats.toFixed(2)} nats, ${bits.toFixed(2)} bits, ${bitsPerToken.toFixed(3)} bits a token`;
        progress.tell(text, { event: "likelihood", name, nats, bits, bitsPerToken, map: Array.from(found[i]!.map) });
      });
      progress.tell(`Light where a token surprised: ${out}`, { event: "picture", path: out });
    });
}

interface Pair extends Chosen {
  readonly image: Uint8Array;
}

/** Nats a token that are shown as white. */
const WHITE = 8;

/** The surprise of each token as gray squares, `[size, size, 3]`: black is none. */
function heatTile({ map }: Likelihood, size: number): Uint8Array {
  const side = Math.sqrt(map.length);
  return Uint8Array.from({ length: size * size * 3 }, (_, i) => {
    const [y, x] = [Math.floor(i / 3 / size), Math.floor(i / 3) % size];
    const nats = map[Math.floor((y * side) / size) * side + Math.floor((x * side) / size)]!;
    return Math.min(255, Math.round((255 * nats) / WHITE));
  });
}
