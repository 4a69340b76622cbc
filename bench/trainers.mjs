// The trainers that several benches measure, on made-up data.
import { FACE_CLASSES } from "../packages/iqvae/dist/data/index.js";
import { stage1Schema } from "../packages/iqvae/dist/stage1/config.js";
import { Stage1Trainer } from "../packages/iqvae/dist/stage1/trainer.js";
import { stage2Schema } from "../packages/iqvae/dist/stage2/config.js";
import { TokenPairs } from "../packages/iqvae/dist/stage2/token-pairs.js";
import { Stage2Trainer } from "../packages/iqvae/dist/stage2/trainer.js";

const PAIRS = 512;
const half = { multipliers: [1, 2, 2], blocks: 1, patch: 2, codeDim: 16 };

/** What `stage1-step` measures; the peers in `peers/stage1_step.py` have the same. */
const STAGE_1 = {
  model: { image: { ...half, channels: 64, codes: 1024 }, condition: { ...half, channels: 32, codes: 512 } },
  regularizer: { estimator: "sliced", weight: 0.2 },
  steps: 16, // k-means places the codes at an eighth of them, during the warm-up
  batch: 32,
  rate: 5e-4,
  warmup: 2,
};

/** Stage 1 on random faces with 13 classes. */
export function stage1Trainer({ precision, size = 64, ...config }) {
  const split = randomPairs(size);
  const dataset = { size, condition: { kind: "semantic", classes: FACE_CLASSES }, train: split, validation: split };
  return new Stage1Trainer({ config: stage1Schema.parse({ ...STAGE_1, ...config }), precision, dataset });
}

/** Numbers of `count` of the pairs. */
export function randomRows(count) {
  return Uint32Array.from({ length: count }, () => Math.floor(Math.random() * PAIRS));
}

function randomPairs(size) {
  const pixels = bytes(PAIRS * size * size * 3, 256);
  const classes = bytes(PAIRS * size * size, FACE_CLASSES.length);
  return {
    length: PAIRS,
    batch: (indices) => ({
      images: gathered(pixels, size * size * 3, indices),
      conditions: gathered(classes, size * size, indices),
    }),
  };
}

/** Filled in place: `Uint8Array.from` would build a list of all values first, which the peak memory would show. */
function bytes(count, below) {
  const all = new Uint8Array(count);
  for (let i = 0; i < count; i++) all[i] = Math.floor(Math.random() * below);
  return all;
}

/** Rows of `all` copied next to each other, as a data set hands them over. */
function gathered(all, width, indices) {
  const out = new Uint8Array(indices.length * width);
  for (const [i, index] of indices.entries()) out.set(all.subarray(index * width, (index + 1) * width), i * width);
  return out;
}

/** Stage 2 on `batch` random pairs of token sequences. */
export function stage2Trainer({ precision, exposure, batch, layers, width, heads, codes, tokens, peers }) {
  const config = stage2Schema.parse({
    model: { layers, width, heads, dropout: 0 },
    exposure: { kind: exposure },
    steps: 1000,
    batch,
    accumulate: 1,
    rate: 3e-4,
    warmup: 10,
  });
  const shape = { conditionCodes: codes, imageCodes: codes, conditionTokens: tokens, imageTokens: tokens };
  const random = () => Uint16Array.from({ length: batch * tokens }, () => Math.floor(Math.random() * codes));
  const pairs = new TokenPairs(shape, random(), random());
  return new Stage2Trainer({ config, precision, train: pairs, validation: pairs, peers });
}
