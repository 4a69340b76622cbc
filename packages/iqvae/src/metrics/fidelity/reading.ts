import { autocast, noGrad, tensor } from "@iqvae/torch";
import { type Condition, conditionFor } from "../../conditions/index.ts";
import { type ConditionSpec, openDataset, type PairDataset, spreadRows } from "../../data/index.ts";
import { drawing } from "../../features/open.ts";
import { trainedNetwork } from "../../features/train-network.ts";
import { toUnitRange } from "../../models/iqvae.ts";
import { forEachBatch, type ImageSet } from "../image-set.ts";
import type { Fidelity, FidelityFigure, FidelityOptions } from "./measure.ts";
import { ConditionReader } from "./reader.ts";

/** Faces that their reader learns from, so that all runs on faces have the same. */
const FACES = 12_000;
/** Held-out pairs that a reader is tested on. */
const EVALUATED = 512;
const BATCH = 64;

/** What it takes to read a kind of condition. */
const READING = {
  /** What is seen around a pixel says what it is. */
  pixels: { widths: [24, 48, 96], steps: 800 },
  /** Which finger a joint belongs to, or how large a thing is, only the whole image tells. */
  places: { widths: [16, 32, 64, 128, 128], steps: 1_500 },
} as const;

const wayOf = ({ kind }: ConditionSpec) => READING[kind === "keypoints" || kind === "layout" ? "places" : "pixels"];

/**
 * Fidelity by a network that reads conditions out of images, trained on the data set's training split and cached.
 *
 * @param agreement what is said of the conditions that it reads: see `agreementOf`
 */
export async function readingFidelity(
  dataset: PairDataset,
  agreement: (read: Uint8Array, truth: Uint8Array) => FidelityFigure[],
  { progress, cacheDir, steps }: FidelityOptions,
): Promise<Fidelity> {
  const { condition: spec, size } = dataset;
  const condition = conditionFor(spec, size);
  const way = wayOf(spec);
  const own = cacheDir === undefined ? {} : { cacheDir };
  const name = `reader-${dataset.name}-${spec.kind}-${size}`;
  const { network, digest } = await trainedNetwork({
    name,
    parts: {
      ...(dataset.name === "faces" ? { faces: FACES } : { data: dataset.key }),
      outputs: condition.outputChannels,
    },
    steps: steps ?? way.steps,
    batch: 32,
    rate: 2e-3,
    create: () => new ConditionReader(condition.outputChannels, way.widths),
    openData: () => openTraining(dataset, { progress, ...own }),
    loss: (reader, { train }, rows) => {
      const { images, conditions } = train.batch(rows);
      const planes = toUnitRange(tensor(images, { shape: [rows.length, size, size, 3] }));
      return condition.loss(reader.forward(planes), tensor(conditions, { shape: [rows.length, ...condition.shape] }));
    },
    evaluate: (reader, { validation }) => {
      const rows = spreadRows(validation, EVALUATED);
      const { images, conditions } = validation.batch(rows);
      const figures = agreement(read(reader, condition, { count: rows.length, size, pixels: images }), conditions);
      return Object.fromEntries(figures.map(({ label, value }) => [label, value]));
    },
    progress,
    ...own,
  });
  return {
    networks: { [name]: digest },
    score: (images, conditions) =>
      agreement(read(network, condition, images), conditions).map((figure) => ({
        ...figure,
        label: `${figure.label} (${name})`,
      })),
  };
}

/** What a reader learns from; its owner closes it. */
async function openTraining(
  dataset: PairDataset,
  { progress, cacheDir }: Pick<FidelityOptions, "progress" | "cacheDir">,
): Promise<PairDataset> {
  const { name, condition, size } = dataset;
  if (name !== "faces") return lent(dataset);
  const own = cacheDir === undefined ? {} : { cacheDir };
  const kind = condition.kind === "semantic" ? "semantic" : "lines";
  return await openDataset({
    name: "faces",
    condition: kind,
    size,
    count: FACES,
    ...own,
    onProgress: drawing("faces", progress),
  });
}

/** A data set that somebody else goes on using: to close it does nothing. */
export function lent(dataset: PairDataset): PairDataset {
  return { ...dataset, close() {} };
}

/** The conditions that a reader sees in images, `[count, …]`. */
function read(reader: ConditionReader, condition: Condition, images: ImageSet): Uint8Array {
  const length = condition.shape.reduce((product, side) => product * side, 1);
  const out = new Uint8Array(images.count * length);
  // In float32 whatever is around it: a figure must not depend on where it is computed from.
  autocast({ enabled: false }, () =>
    noGrad(() =>
      forEachBatch(images, BATCH, (pixels, first) => {
        const found = condition.fromLogits(reader.forward(toUnitRange(pixels)));
        out.set(found.contiguous().read("uint8"), first * length);
      }),
    ),
  );
  return out;
}
