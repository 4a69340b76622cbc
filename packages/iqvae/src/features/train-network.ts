import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  AdamW,
  clipGradNorm,
  decayMatrices,
  type Module,
  readSafetensors,
  SafetensorsError,
  scope,
  type Tensor,
  torchVersion,
  warmupCosine,
  writeSafetensors,
} from "@iqvae/torch";
import { cacheFolder, Loader, type PairDataset } from "../data/index.ts";
import { makeFolder } from "../support/files.ts";
import { fastPrecision, inPrecision, type Precision } from "../support/precision.ts";
import type { Progress } from "../support/progress.ts";
import { withOwnRandomness } from "../support/random-state.ts";
import { type NetworkRecipe, openShipped, SHIPPED, sha256Of } from "./shipped.ts";

/** A small network that the program trains for itself on a built-in set. */
export interface TrainedNetwork<M extends Module> {
  readonly network: M;
  /** What it reached on held-out pairs. */
  readonly figures: Readonly<Record<string, number>>;
  /** Hexadecimal SHA-256 of its weights' file. */
  readonly digest: string;
  readonly recipe: NetworkRecipe;
}

/** How such a network is trained. */
export interface NetworkTraining<M extends Module> {
  readonly name: string;
  /** All that decides the weights besides what every network shares; the key of the cache. */
  readonly parts: Readonly<Record<string, string | number>>;
  readonly steps: number;
  readonly batch: number;
  readonly rate: number;
  readonly create: () => M;
  readonly openData: () => Promise<PairDataset>;
  readonly loss: (network: M, dataset: PairDataset, rows: Uint32Array) => Tensor;
  readonly evaluate: (network: M, dataset: PairDataset) => Record<string, number>;
  readonly progress: Progress;
  /** Where data and networks are cached. Default: {@link cacheFolder}. */
  readonly cacheDir?: string;
  /** Where networks that come with the program lie; `null` to train it here. Default: {@link SHIPPED}. */
  readonly shipped?: string | null;
}

/** Raise it whenever the training below changes. */
const VERSION = 2;
const SEED = 7;
const CLIP = 1;

/**
 * Opens a network that comes with the program. Of others, loads it from the cache beside the data, or trains it and puts it
 * there; since processors and versions of libtorch train to other bits, it says so. A cached file that is damaged or was made
 * by another recipe is replaced.
 */
export async function trainedNetwork<M extends Module>(training: NetworkTraining<M>): Promise<TrainedNetwork<M>> {
  const { name, parts, progress } = training;
  const precision = fastPrecision();
  const { steps, batch, rate, shipped = SHIPPED } = training;
  const recipe = { version: VERSION, name, ...parts, steps, batch, rate };
  const key = JSON.stringify({ ...recipe, precision, torch: torchVersion() });
  const short = createHash("sha256").update(key).digest("hex").slice(0, 12);
  const folder = join(training.cacheDir ?? cacheFolder(), "networks");
  const path = join(folder, `${name}-${short}.safetensors`);

  const network = await withOwnRandomness(SEED, training.create);
  const told = (text: string) => progress.tell(text, { event: "network", name, message: text });
  const opened = shipped === null ? undefined : openShipped(shipped, name, recipe, network, told);
  if (opened !== undefined) return { network, recipe, ...opened };
  if (shipped !== null)
    told(`${name} is trained on this machine, so its figures cannot be compared with those of another.`);
  const stored = load(path, key, network, progress);
  if (stored !== undefined) return { network, recipe, figures: stored, digest: sha256Of(path) };

  const figures = await train(network, training, precision);
  makeFolder(folder);
  writeSafetensors(path, network.stateDict(), { key, figures: JSON.stringify(figures) });
  const text = Object.entries(figures).map(([figure, value]) => `${figure} ${value.toPrecision(3)}`);
  progress.tell(`${name}: held out, ${text.join(", ")}`, { event: "network", name, path, figures });
  return { network, recipe, figures, digest: sha256Of(path) };
}

function load(path: string, key: string, network: Module, progress: Progress): Record<string, number> | undefined {
  if (!existsSync(path)) return undefined;
  try {
    return scope(() => {
      const { tensors, metadata } = readSafetensors(path);
      if (metadata.key !== key) return undefined;
      network.loadStateDict(tensors);
      return JSON.parse(metadata.figures ?? "{}") as Record<string, number>;
    });
  } catch (error) {
    if (!(error instanceof SafetensorsError)) throw error;
    progress.tell(`${error.message} The network is trained anew.`, { event: "network", path, problem: error.message });
    return undefined;
  }
}

async function train<M extends Module>(
  network: M,
  { name, steps, batch, rate: peak, openData, loss, evaluate, progress }: NetworkTraining<M>,
  precision: Precision,
): Promise<Record<string, number>> {
  const dataset = await openData();
  try {
    const parameters = network.namedParameters();
    const optimizer = new AdamW(decayMatrices(parameters, 0.02));
    const loader = new Loader(dataset.train.length, SEED);
    progress.begin(`training ${name}`, steps, 0);
    for (let step = 0; step < steps; step++) {
      const value = scope(() => {
        optimizer.zeroGrad();
        const rows = loader.next(batch);
        const measure = () => loss(network, dataset, rows);
        const nats = inPrecision({ precision }, measure);
        nats.backward();
        const { scale } = clipGradNorm(parameters.values(), CLIP);
        optimizer.lr = warmupCosine({ step, total: steps, warmup: 50, peak, floor: peak / 50 });
        optimizer.step({ gradientScale: scale });
        return nats.item();
      });
      progress.update(step + 1, { loss: value });
      // Lets a progress bar draw and Ctrl-C through.
      await new Promise(setImmediate);
    }
    progress.end();
    for (const parameter of parameters.values()) parameter.grad = undefined;
    for (const moment of optimizer.stateDict().values()) moment.dispose();
    return evaluate(network, dataset);
  } finally {
    dataset.close();
  }
}
