import { autocast, noGrad, scope, type Tensor, tensor } from "@iqvae/torch";
import { type Condition, conditionFor } from "../../conditions/index.ts";
import { type PairDataset, spreadRows } from "../../data/index.ts";
import { trainedNetwork } from "../../features/train-network.ts";
import { toUnitRange } from "../../models/iqvae.ts";
import { seededRandom } from "../../support/random.ts";
import { forEachBatch, type ImageSet, imageSet } from "../image-set.ts";
import { varied } from "./augment.ts";
import type { Fidelity, FidelityOptions } from "./measure.ts";
import { lent } from "./reading.ts";
import { conceptIn, Shelf, separate } from "./shelf.ts";
import { Towers } from "./towers.ts";

/** Conditions that an image chooses among: its own and others, fewer where there are not as many concepts. */
const CHOICES = 32;
const STEPS = 1_000;
/** Held-out pairs that the towers are tested on. */
const EVALUATED = 512;
const BATCH = 64;

/**
 * Fidelity by retrieval, as the R-precision of text-to-image synthesis (Xu et al. 2018, AttnGAN): the share of images to which
 * their own condition is nearer than 31 held-out ones of other concepts, in a space of two towers that are trained on the data
 * set's training split and cached. By chance it would be 1/32.
 *
 * @returns `undefined` where the held-out pairs have a single concept
 */
export async function retrievalFidelity(
  dataset: PairDataset,
  { progress, cacheDir, steps = STEPS }: FidelityOptions,
): Promise<Fidelity | undefined> {
  const { condition: spec, size } = dataset;
  const shelf = new Shelf(dataset);
  const choices = Math.min(CHOICES, shelf.concepts);
  if (choices < 2) return undefined;
  const condition = conditionFor(spec, size);
  const name = `retriever-${dataset.name}-${spec.kind}-${size}`;
  const what = `own ${spec.kind} found among ${choices}`;
  const random = seededRandom(name);
  const { network, digest } = await trainedNetwork({
    name,
    parts: { data: dataset.key },
    steps,
    batch: BATCH,
    rate: 2e-3,
    create: () => new Towers(condition),
    openData: () => Promise.resolve(lent(dataset)),
    loss: (towers, { train }, rows) => {
      const { images, conditions } = train.batch(rows);
      const concepts = separate(conditions, rows.length).map((one, i) => conceptIn(dataset, train.ids[rows[i]!]!, one));
      return towers.loss(
        varied(toUnitRange(tensor(images, { shape: [rows.length, size, size, 3] })), random),
        condition.toPlanes(tensor(conditions, { shape: [rows.length, ...condition.shape] })),
        tensor(Int32Array.from(concepts, (concept) => concepts.indexOf(concept))),
      );
    },
    evaluate: (towers, { validation }) => {
      const rows = spreadRows(validation, EVALUATED);
      const { images, conditions } = validation.batch(rows);
      return { [what]: retriever(towers, condition, shelf, choices)(imageSet(images, size), conditions) };
    },
    progress,
    ...(cacheDir === undefined ? {} : { cacheDir }),
  });
  const found = retriever(network, condition, shelf, choices);
  const label = `${what}, chance ${(1 / choices).toPrecision(2)} (${name})`;
  return {
    networks: { [name]: digest },
    score: (images, conditions) => [{ key: "fidelity", label, value: found(images, conditions), better: "higher" }],
  };
}

/** Says of what share of images their own condition lies nearer than each of `choices − 1` others. */
function retriever(
  towers: Towers,
  condition: Condition,
  shelf: Shelf,
  choices: number,
): (images: ImageSet, conditions: Uint8Array) => number {
  const shelved = embedConditions(towers, condition, shelf.conditions);
  return (images, conditions) => {
    const own = separate(conditions, images.count).map((one, i) => placeOf(shelf, one, i));
    const seen = embedImages(towers, images);
    const found = own.filter((place, i) => {
      const cosine = (other: number) => dot(seen[i]!, shelved[other]!);
      const nearest = cosine(place);
      return shelf.others(place, choices - 1, i).every((other) => cosine(other) < nearest);
    });
    return found.length / images.count;
  };
}

function placeOf(shelf: Shelf, condition: Uint8Array, image: number): number {
  const place = shelf.find(condition);
  if (place !== undefined) return place;
  throw new RangeError(
    `the condition of image ${image} is none of the data set's held-out ones, among which images look for their own; ` +
      "score images that were drawn for held-out conditions.",
  );
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function embedImages(towers: Towers, images: ImageSet): Float32Array[] {
  const out: Float32Array[] = [];
  forEachBatch(images, BATCH, (pixels) => out.push(...rowsOf(() => towers.embedImages(toUnitRange(pixels)))));
  return out;
}

function embedConditions(towers: Towers, condition: Condition, samples: readonly Uint8Array[]): Float32Array[] {
  const out: Float32Array[] = [];
  for (let first = 0; first < samples.length; first += BATCH) {
    const some = samples.slice(first, first + BATCH);
    scope(() => {
      const bytes = tensor(Buffer.concat(some), { shape: [some.length, ...condition.shape] });
      out.push(...rowsOf(() => towers.embedConditions(condition.toPlanes(bytes))));
    });
  }
  return out;
}

/** The rows of vectors `[B, D]`, computed in float32 whatever is around: a figure must not depend on that. */
function rowsOf(vectors: () => Tensor): Float32Array[] {
  const rows = autocast({ enabled: false }, () => noGrad(vectors));
  const [B, D] = rows.shape as [number, number];
  const values = rows.contiguous().read("float32");
  return Array.from({ length: B }, (_, i) => values.subarray(i * D, (i + 1) * D));
}
