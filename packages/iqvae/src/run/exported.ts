import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  type Bundle,
  ImageGenerator,
  type LoadOptions,
  MODEL_FILE,
  ModelError,
  parseBundle,
  WEIGHTS_FILE,
} from "@iqvae/runtime";
import { z } from "zod";
import { type DataConfig, dataSchema } from "../data/index.ts";
import { perceptualNetwork } from "../stage1/config.ts";

/** What `model.json` says besides what drawing needs. */
const about = z.object({
  data: z.unknown().optional(),
  perceptual: perceptualNetwork.nullable().default(null).catch(null),
});

/** A model that `iqvae export` wrote, with what it was trained on. */
export interface ExportedModel {
  /** The folder. */
  readonly path: string;
  /** What its weights are known by. */
  readonly weights: string;
  /** Whether it was also trained without conditions, as guidance needs. */
  readonly unconditional: boolean;
  /** As far as it tells: its data set, the network of its perceptual loss, and how it draws. */
  readonly config: {
    readonly data: DataConfig;
    readonly sampling: Bundle["sampling"];
    readonly stage1: { readonly perceptual: { readonly network: z.output<typeof perceptualNetwork> } | null };
  };
}

/** Whether a folder is one that `iqvae export` wrote. */
export function isExported(folder: string): boolean {
  return existsSync(join(folder, MODEL_FILE));
}

/** What `model.json` of a folder says. @throws Error that names the folder, for one that is damaged */
export function bundleOf(folder: string): Bundle {
  try {
    return parseBundle(readFileSync(join(folder, MODEL_FILE), "utf8"));
  } catch (error) {
    throw new Error(`${folder} cannot be used: ${(error as Error).message}`, { cause: error });
  }
}

/** Loads an exported model to draw with. @throws ModelError that names the folder, since several may be asked for at once */
export async function loadExported(folder: string, options: LoadOptions = {}): Promise<ImageGenerator> {
  try {
    return await ImageGenerator.load(folder, options);
  } catch (error) {
    if (!(error instanceof ModelError) || error.file.startsWith(folder)) throw error;
    throw new ModelError(folder, error.problem, error.message, { cause: error });
  }
}

/**
 * What an exported model tells of its training.
 *
 * @param instead what to do where the data are unknown, for messages
 * @throws RangeError where it does not come with its data, or this version does not have the data set; Error as {@link bundleOf}
 */
export function openExported(path: string, instead = "Take the run that it was exported from."): ExportedModel {
  const { sampling, files, transformer } = bundleOf(path);
  const { data, perceptual } = about.parse(JSON.parse(readFileSync(join(path, MODEL_FILE), "utf8")));
  if (data === undefined) throw new RangeError(`${path} was trained on data that it does not come with. ${instead}`);
  const known = dataSchema.safeParse(data);
  if (known.success)
    return {
      path,
      weights: files[WEIGHTS_FILE]!.sha256,
      unconditional: transformer.unconditional,
      config: { data: known.data, sampling, stage1: { perceptual: perceptual && { network: perceptual } } },
    };
  throw new RangeError(
    `${join(path, MODEL_FILE)} names a data set that this version does not have, ${JSON.stringify(data)}. ${instead}`,
  );
}
