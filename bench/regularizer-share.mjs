// What the variational regularizer adds to a stage-1 step of the preset `start`: forward and backward of the term alone, as a
// share of the whole step without it. Measured alone, since the difference of two steps drowns in noise. Beside the paired
// estimator, all pairs of 512 places and of all places, as it was once computed. Not part of `npm run bench`, since it has no
// peer: node bench/regularizer-share.mjs
import { parseArgs } from "node:util";
import { manualSeed, ops, scope, setNumThreads, tuneProcess } from "@iqvae/torch";
import { presets } from "../packages/iqvae/dist/config/presets.js";
import { distances } from "../packages/iqvae/dist/regularizer/distances.js";
import { createRegularizer } from "../packages/iqvae/dist/regularizer/index.js";
import { fastPrecision } from "../packages/iqvae/dist/support/precision.js";
import { median } from "./measure.mjs";
import { randomRows, stage1Trainer } from "./trainers.mjs";

const { values } = parseArgs({
  options: { threads: { type: "string", default: "2" }, repeats: { type: "string", default: "15" } },
});
const repeats = Number(values.repeats);
tuneProcess();
setNumThreads(Number(values.threads));
manualSeed(0);

const { data, stage1 } = presets.start;
const GRID = 8;
const withoutTerm = { ...stage1, steps: 16, regularizer: { estimator: "none" } };
const trainer = stage1Trainer({ precision: fastPrecision(), size: data.size, ...withoutTerm });
const rows = randomRows(stage1.batch);
const step = () => scope(() => trainer.step(rows));

const features = () => ops.aten.randn([stage1.batch, stage1.model.image.codeDim, GRID, GRID]).requires_grad_();
const [zX, zC] = [features(), features()];
const rowsOf = (z) => z.permute([0, 2, 3, 1]).reshape([-1, z.shape[1]]);
const allPairs = (samples) => {
  const places = stage1.batch * GRID * GRID;
  return () => {
    const at = ops.aten.randperm(places).slice(0, 0, samples ?? places);
    const [dX, dC] = [zX, zC].map((z) => distances(rowsOf(z).index_select(0, at), "cosine"));
    return dX.sub(dC).square().mean();
  };
};
const estimators = {
  paired: createRegularizer({ estimator: "paired" }),
  "paired within images": createRegularizer({ estimator: "paired", pairs: "image" }),
  "all pairs of 512": allPairs(512),
  "all pairs": allPairs(),
  sliced: createRegularizer({ estimator: "sliced" }),
  entropic: createRegularizer({ estimator: "entropic" }),
};
const terms = Object.entries(estimators).map(([estimator, measure]) => ({
  estimator,
  run: () => scope(() => measure(zX, zC).backward()),
}));

const seconds = (run) => {
  const start = performance.now();
  run();
  return (performance.now() - start) / 1000;
};
for (let i = 0; i < 4; i++) step();
for (const { run } of terms) run();
const steps = [];
const costs = new Map(terms.map(({ estimator }) => [estimator, []]));
for (let i = 0; i < repeats; i++) {
  steps.push(seconds(step));
  for (const { estimator, run } of terms) costs.get(estimator).push(seconds(run));
}
for (const [estimator, all] of costs)
  console.log(
    JSON.stringify({
      estimator,
      milliseconds: 1000 * median(all),
      step: 1000 * median(steps),
      share: median(all) / median(steps),
    }),
  );
