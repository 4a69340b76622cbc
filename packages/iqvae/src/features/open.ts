import { noGrad, scope, type Tensor, tensor } from "@iqvae/torch";
import { conditionFor } from "../conditions/index.ts";
import {
  FACE_CLASSES,
  type ImageSize,
  type OpenRequest,
  openDataset,
  type PairDataset,
  spreadRows,
} from "../data/index.ts";
import { toUnitRange } from "../models/iqvae.ts";
import { type Progress, silent } from "../support/progress.ts";
import { type AttributeLabels, type AttributeSet, attributeLabels } from "./attribute-labels.ts";
import { AttributesNetwork, type AttributeTruth, attributesFeatures, layoutOf } from "./attributes.ts";
import { efficientNetLite0, type Lite0Features } from "./efficientnet.ts";
import { type Hed, hed } from "./hed.ts";
import { openInception } from "./inception.ts";
import type { FeatureNetwork } from "./network.ts";
import { packagedWeights } from "./packaged.ts";
import { type TrainedNetwork, trainedNetwork } from "./train-network.ts";
import { openVgg16 } from "./vgg.ts";

/** Which feature network. */
export type FeatureNetworkSpec =
  /** Trained by the program on the attributes of a built-in set at a size in pixels; needs no download. */
  | { readonly kind: "attributes"; readonly set: AttributeSet; readonly size: ImageSize }
  /** Fetched when it is first opened: EfficientNet-Lite0, and which of its features to compare by; 112 if nothing is said. */
  | { readonly kind: "efficientnet-lite0"; readonly features?: Lite0Features }
  /** Fetched when it is first opened: the VGG-16 of HED. */
  | { readonly kind: "hed-vgg16" }
  /** Files of `tools/convert-weights.py`. */
  | { readonly kind: "vgg16-lpips"; readonly path: string }
  | { readonly kind: "inception-v3-fid"; readonly path: string };

/**
 * Opens a feature network. Those of attributes in `networks/` come with the program; others are trained first if they are not in
 * the cache, which takes minutes. `efficientnet-lite0` and `hed-vgg16` are fetched if they are not in the cache.
 *
 * @throws Error when a file of weights is missing, damaged or of another network; PackageError when it cannot be fetched
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
    case "efficientnet-lite0":
      return efficientNetLite0(await packagedWeights(spec.kind, options), spec.features);
    case "hed-vgg16":
      return await openHed(options);
    case "attributes":
      return await openAttributes(spec, options);
  }
}

/**
 * Opens HED, as a feature network and as a detector of edges; it is fetched if it is not in the cache.
 *
 * @throws PackageError when it cannot be fetched
 */
export async function openHed(
  options: { readonly progress?: Progress; readonly cacheDir?: string } = {},
): Promise<Hed> {
  return hed(await packagedWeights("hed-vgg16", options));
}

/** Faces that the network of attributes learns from and is tested on, both together. */
const FACES = 12_000;
const STEPS = 1_600;
const EVALUATED = 512;
const EVALUATION_BATCH = 64;

async function openAttributes(
  spec: { readonly set: AttributeSet; readonly size: ImageSize },
  options: { readonly progress?: Progress; readonly cacheDir?: string },
): Promise<FeatureNetwork> {
  const { network, digest } = await attributesNetwork(spec, options);
  return attributesFeatures(network, `attributes-${spec.set}-${spec.size}`, digest);
}

/**
 * The network of attributes with its heads.
 *
 * @param options.shipped as {@link trainedNetwork} takes it
 */
export async function attributesNetwork(
  { set, size }: { readonly set: AttributeSet; readonly size: ImageSize },
  {
    progress = silent,
    ...options
  }: { readonly progress?: Progress; readonly cacheDir?: string; readonly shipped?: string | null },
): Promise<TrainedNetwork<AttributesNetwork>> {
  const labels = attributeLabels(set);
  const { cacheDir } = options;
  const own = cacheDir === undefined ? {} : { cacheDir };
  return await trainedNetwork({
    name: `attributes-${set}-${size}`,
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
    ...options,
  });
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
  const chosen = spreadRows(dataset.validation, EVALUATED);
  const sums = labels.attributes.map(() => [0, 0] as [number, number]);
  for (let first = 0; first < chosen.length; first += EVALUATION_BATCH) {
    const rows = chosen.slice(first, first + EVALUATION_BATCH);
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
