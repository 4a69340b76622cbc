import { noGrad, scope, type Tensor, tensor } from "@iqvae/torch";
import { conditionFor } from "../conditions/index.ts";
import { FACE_CLASSES, type ImageSize, type OpenRequest, openDataset, type PairDataset } from "../data/index.ts";
import { toUnitRange } from "../models/iqvae.ts";
import { type Progress, silent } from "../support/progress.ts";
import { type AttributeLabels, type AttributeSet, attributeLabels } from "./attribute-labels.ts";
import { AttributesNetwork, type AttributeTruth, attributesFeatures, layoutOf } from "./attributes.ts";
import { openInception } from "./inception.ts";
import type { FeatureNetwork } from "./network.ts";
import { trainedNetwork } from "./train-network.ts";
import { openVgg16 } from "./vgg.ts";

/** Which feature network. */
export type FeatureNetworkSpec =
  /** Trained by the program on the attributes of a built-in set at a size in pixels; needs no download. */
  | { readonly kind: "attributes"; readonly set: AttributeSet; readonly size: ImageSize }
  /** Files of `tools/convert-weights.py`. */
  | { readonly kind: "vgg16-lpips"; readonly path: string }
  | { readonly kind: "inception-v3-fid"; readonly path: string };

/**
 * Opens a feature network; one of attributes is trained first if it is not in the cache, which takes a minute or two.
 *
 * @throws Error when a file of weights is missing, damaged or of another network
 */
export async function openFeatureNetwork(
  spec: FeatureNetworkSpec,
  options: { readonly progress?: Progress; readonly cacheDir?: string } = {},
): Promise<FeatureNetwork> {
  switch (spec.kind) {
    case "vgg16-lpips":
      return await openVgg16(spec.path);
    case "inception-v3-fid":
      return await openInception(spec.path);
    case "attributes":
      return await openAttributes(spec, options);
  }
}

/** Pairs that the network of attributes learns from and is tested on, both together. */
const FACES = 12_000;
const STEPS = 1_600;
const EVALUATED = 512;
const EVALUATION_BATCH = 64;

async function openAttributes(
  { set, size }: { set: AttributeSet; size: ImageSize },
  { progress = silent, cacheDir }: { progress?: Progress; cacheDir?: string },
): Promise<FeatureNetwork> {
  const labels = attributeLabels(set);
  const name = `attributes-${set}-${size}`;
  const own = cacheDir === undefined ? {} : { cacheDir };
  const { network, digest } = await trainedNetwork({
    name,
    parts: { attributes: labels.attributes.map((one) => `${one.name} ${one.classes}`).join(", "), faces: FACES },
    steps: STEPS,
    batch: 32,
    rate: 2e-3,
    create: () => new AttributesNetwork(labels.attributes, set === "faces" ? FACE_CLASSES.length : 2),
    openData: () => openDataset({ ...requestOf(set, size), ...own, onProgress: drawing(set, progress) }),
    loss: (net, dataset, rows) => {
      const { planes, truth } = batchOf(dataset, "train", rows, labels);
      return net.loss(planes, truth);
    },
    evaluate: (net, dataset) => accuracies(net, dataset, labels),
    progress,
    ...own,
  });
  return attributesFeatures(network, name, digest);
}

function requestOf(set: AttributeSet, size: ImageSize): OpenRequest {
  return set === "faces"
    ? { name: "faces", condition: "semantic", size, count: FACES }
    : { name: "emoji", condition: "edges", size };
}

/** Shows the drawing of a data set, if it has to be drawn. */
export function drawing(name: string, progress: Progress): (done: number, total: number) => void {
  return (done, total) => {
    if (done === 1) progress.begin(`drawing ${name}`, total, 0);
    progress.update(done);
    if (done === total) progress.end();
  };
}

function batchOf(
  dataset: PairDataset,
  part: "train" | "validation",
  rows: ArrayLike<number>,
  labels: AttributeLabels,
): { planes: Tensor; truth: AttributeTruth } {
  const { size } = dataset;
  const { images, conditions } = dataset[part].batch(rows);
  const raster = tensor(conditions, { shape: [rows.length, size, size] });
  const classes = Array.from(rows).flatMap((row) => labels.of(dataset[part].ids[row]!));
  return {
    planes: toUnitRange(tensor(images, { shape: [rows.length, size, size, 3] })),
    truth: {
      labels: tensor(Int32Array.from(classes), { shape: [rows.length, labels.attributes.length] }).to("int64"),
      layout: layoutOf(conditionFor(dataset.condition, size).toPlanes(raster)),
    },
  };
}

/** The share of held-out pairs of which each attribute is told right. */
function accuracies(net: AttributesNetwork, dataset: PairDataset, labels: AttributeLabels): Record<string, number> {
  const total = Math.min(EVALUATED, dataset.validation.length);
  const sums = labels.attributes.map(() => [0, 0] as [number, number]);
  for (let first = 0; first < total; first += EVALUATION_BATCH) {
    const rows = Array.from({ length: Math.min(EVALUATION_BATCH, total - first) }, (_, i) => first + i);
    const hits = scope(() =>
      noGrad(() => {
        const { planes, truth } = batchOf(dataset, "validation", rows, labels);
        return net.hits(planes, truth.labels).read("int64");
      }),
    );
    sums.forEach((sum, i) => {
      sum[0] += Number(hits[2 * i]);
      sum[1] += Number(hits[2 * i + 1]);
    });
  }
  return Object.fromEntries(labels.attributes.map(({ name }, i) => [name, sums[i]![0] / Math.max(1, sums[i]![1])]));
}
