// What it costs to score 10,000 images of 64 pixels, part by part, in processor seconds (user and system, all threads): faces,
// which have the most figures, true images in the place of the drawn ones, networks of a single step. The drawing of samples and
// the two models' own figures are not in it. Not part of `npm run bench`, since it has no peer: node bench/metrics.mjs
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { manualSeed, setNumThreads, tuneProcess } from "@iqvae/torch";
import { FACE_CLASSES, openDataset } from "../packages/iqvae/dist/data/index.js";
import { attributeLabels } from "../packages/iqvae/dist/features/attribute-labels.js";
import { AttributesNetwork, attributesFeatures } from "../packages/iqvae/dist/features/attributes.js";
import { FeatureStore } from "../packages/iqvae/dist/metrics/feature-store.js";
import {
  fidelityFigures,
  networkFigures,
  openFigures,
  textureFigures,
} from "../packages/iqvae/dist/metrics/figures.js";
import { imageSet } from "../packages/iqvae/dist/metrics/image-set.js";
import { fidelityOf, Truths } from "../packages/iqvae/dist/metrics/index.js";
import { realImages } from "../packages/iqvae/dist/metrics/real-images.js";
import { silent } from "../packages/iqvae/dist/support/progress.js";

const { values } = parseArgs({
  options: {
    images: { type: "string", default: "10000" },
    size: { type: "string", default: "64" },
    threads: { type: "string", default: "2" },
    /** Pairs of the data set, a tenth of them held out. */
    pairs: { type: "string", default: "12000" },
  },
});
const SAMPLES = 8;
tuneProcess();
setNumThreads(Number(values.threads));
manualSeed(0);

/** A clock of processor seconds. */
const seconds = {};
const clock = {
  async time(part, body) {
    const start = process.cpuUsage();
    const result = await body();
    const { user, system } = process.cpuUsage(start);
    seconds[part] = (seconds[part] ?? 0) + (user + system) / 1e6;
    return result;
  },
};

const size = Number(values.size);
const dataset = await openDataset({ name: "faces", condition: "semantic", size, count: Number(values.pairs) });
const conditions = Math.min(dataset.validation.length, Math.ceil(Number(values.images) / SAMPLES));
const samples = Math.max(SAMPLES, Math.ceil(Number(values.images) / conditions));
const rows = Array.from({ length: conditions }, (_, i) => i);
const ids = rows.map((row) => dataset.validation.ids[row]);

const networks = [
  attributesFeatures(new AttributesNetwork(attributeLabels("faces").attributes, FACE_CLASSES.length), "attributes", ""),
];
const folder = mkdtempSync(join(tmpdir(), "iqvae-metrics-"));
// By another name the reader is trained on the very set, and need not have 12,000 faces drawn.
const options = { progress: silent, cacheDir: folder, steps: 1 };
const fidelity = await fidelityOf({ ...dataset, name: "bench" }, options).finally(() =>
  rmSync(folder, { recursive: true }),
);

const drawn = (await realImages(dataset, ids, samples, 1)).own;
const real = await clock.time("real images", () => realImages(dataset, ids, samples, 0));
const images = imageSet(dataset.validation.batch(rows).images, dataset.size);
const features = new FeatureStore();
const subject = {
  dataset,
  rows,
  samples,
  seed: 0,
  drawn,
  real,
  heldOut: images,
  features,
  clock,
  truths: new Truths(),
};
await networkFigures(subject, networks);
await textureFigures(subject);
await clock.time("fidelity", () => fidelityFigures({ ...subject, clock: { time: (_, body) => body() } }, fidelity));
await openFigures(subject, dataset.facts.open, ids);
features[Symbol.dispose]();
dataset.close();
const all = Object.values(seconds).reduce((sum, part) => sum + part, 0);
console.log(JSON.stringify({ images: conditions * samples, "processor seconds": all, parts: seconds }));
