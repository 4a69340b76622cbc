import { autocast, noGrad, tensor } from "@iqvae/torch";
import { type Condition, conditionFor } from "../../conditions/index.ts";
import { type ConditionSpec, colourEdges, openDataset, type PairDataset } from "../../data/index.ts";
import { toUnitRange } from "../../models/iqvae.ts";
import type { Progress } from "../../training/progress.ts";
import { drawing } from "../features/open.ts";
import { trainedNetwork } from "../features/train-network.ts";
import { forEachBatch, type ImageSet } from "../image-set.ts";
import { lineF1, meanIou } from "./overlap.ts";
import { ConditionReader } from "./reader.ts";

/** How well images follow the conditions that they were drawn for. */
export interface Fidelity {
  /** Such as `mIoU`; the name of the network that reads the images, if there is one, is part of it. */
  readonly name: string;
  /** @param conditions the raster `[size, size]` of each image, one after the other. @returns in [0, 1], higher is better */
  score(images: ImageSet, conditions: Uint8Array): number;
}

/**
 * The measure for a kind of condition: mIoU for semantic maps and F1 for lines, as a small network trained on the built-in
 * `faces` reads them out of the image; F1 for edges, which are computed from the image by the detector that the data set's own
 * edges come from.
 *
 * @returns `undefined` where there is no measure yet: maps and lines of other data sets than `faces`, and other kinds
 */
export async function fidelityOf(
  dataset: PairDataset,
  options: { readonly progress: Progress; readonly cacheDir?: string },
): Promise<Fidelity | undefined> {
  const { condition, name } = dataset;
  if (condition.kind === "edges") return edgeFidelity;
  return name === "faces" ? await readFidelity(dataset, options) : undefined;
}

const edgeFidelity: Fidelity = {
  name: "edge F1",
  score(images, conditions) {
    const { size, count, pixels } = images;
    const edges = new Uint8Array(conditions.length);
    for (let i = 0; i < count; i++) {
      const image = pixels.subarray(i * size * size * 3, (i + 1) * size * size * 3);
      edges.set(colourEdges(image, size), i * size * size);
    }
    return lineF1(edges, conditions, size);
  },
};

/** Faces that the reader learns from, steps of its training, held-out pairs that it is tested on. */
const FACES = 12_000;
const STEPS = 800;
const EVALUATED = 512;
const BATCH = 64;

async function readFidelity(
  { condition: spec, size }: PairDataset,
  { progress, cacheDir }: { progress: Progress; cacheDir?: string },
): Promise<Fidelity> {
  const condition = conditionFor(spec, size);
  const kind = spec.kind === "semantic" ? "semantic" : "lines";
  const own = cacheDir === undefined ? {} : { cacheDir };
  const name = `reader-faces-${kind}-${size}`;
  const { network } = await trainedNetwork({
    name,
    parts: { faces: FACES, outputs: condition.outputChannels },
    steps: STEPS,
    batch: 32,
    rate: 2e-3,
    create: () => new ConditionReader(condition.outputChannels),
    openData: () =>
      openDataset({
        name: "faces",
        condition: kind,
        size,
        count: FACES,
        ...own,
        onProgress: drawing("faces", progress),
      }),
    loss: (reader, dataset, rows) => {
      const { images, conditions } = dataset.train.batch(rows);
      const planes = toUnitRange(tensor(images, { shape: [rows.length, size, size, 3] }));
      return condition.loss(reader.forward(planes), tensor(conditions, { shape: [rows.length, size, size] }));
    },
    evaluate: (reader, dataset) => {
      const rows = Array.from({ length: Math.min(EVALUATED, dataset.validation.length) }, (_, i) => i);
      const { images, conditions } = dataset.validation.batch(rows);
      const set = { count: rows.length, size, pixels: images };
      return { [label(spec)]: overlap(spec, read(reader, condition, set), conditions, size) };
    },
    progress,
    ...own,
  });
  return {
    name: `${label(spec)} (${name})`,
    score: (images, conditions) => overlap(spec, read(network, condition, images), conditions, size),
  };
}

const label = (spec: ConditionSpec): string => (spec.kind === "semantic" ? "mIoU" : "line F1");

function overlap(spec: ConditionSpec, predicted: Uint8Array, truth: Uint8Array, size: number): number {
  return spec.kind === "semantic" ? meanIou(predicted, truth, spec.classes.length) : lineF1(predicted, truth, size);
}

/** The conditions that a reader sees in images, `[count, size, size]`. */
function read(reader: ConditionReader, condition: Condition, images: ImageSet): Uint8Array {
  const out = new Uint8Array(images.count * images.size ** 2);
  // In float32 whatever is around it: a figure must not depend on where it is computed from.
  autocast({ enabled: false }, () =>
    noGrad(() =>
      forEachBatch(images, BATCH, (pixels, first) => {
        const raster = condition.fromLogits(reader.forward(toUnitRange(pixels)));
        out.set(raster.read("uint8"), first * images.size ** 2);
      }),
    ),
  );
  return out;
}
