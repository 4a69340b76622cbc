/*
 * Trains the networks of attributes that come with the program, from the compiled program:
 *
 *   npm run build && node tools/train-networks.mjs faces-32 emoji-32 faces-64 emoji-64
 *
 * and writes packages/iqvae/networks/attributes-SET-SIZE.safetensors, in float16, with a description beside it. One that is in the
 * cache (IQVAE_CACHE) is not trained again. Figures of a network that was trained anew cannot be compared with those of the one
 * before, and published tables have to be made again.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { noGrad, scope, torchVersion, tuneProcess, writeSafetensors } from "@iqvae/torch";
import { ATTRIBUTE_SETS } from "../packages/iqvae/dist/features/attribute-labels.js";
import { attributesNetwork } from "../packages/iqvae/dist/features/open.js";
import { SHIPPED, sha256Of } from "../packages/iqvae/dist/features/shipped.js";
import { fastPrecision } from "../packages/iqvae/dist/support/precision.js";
import { processor } from "../packages/iqvae/dist/support/processor.js";

const { positionals } = parseArgs({ allowPositionals: true });
const wanted = positionals.map((text) => {
  const [, set, size] = /^(\w+)-(\d+)$/.exec(text) ?? [];
  if (!ATTRIBUTE_SETS.includes(set)) throw new Error(`'${text}': expected SET-SIZE, such as faces-32 or emoji-64.`);
  return { set, size: Number(size) };
});
if (wanted.length === 0) throw new Error("Name what to train: SET-SIZE, such as faces-32.");

tuneProcess();
const progress = {
  begin: (task, total) => console.log(`${task}: ${total}`),
  update() {},
  end() {},
  tell: (text) => console.log(text),
};
mkdirSync(SHIPPED, { recursive: true });
for (const { set, size } of wanted) {
  const { network, recipe, figures } = await attributesNetwork({ set, size }, { progress, shipped: null });
  const path = `${SHIPPED}attributes-${set}-${size}`;
  scope(() => {
    const half = [...network.stateDict()].map(([name, weight]) => [name, noGrad(() => weight.to("float16"))]);
    writeSafetensors(`${path}.safetensors`, new Map(half));
  });
  const trainedWith = { processor: processor().name, precision: fastPrecision(), libtorch: torchVersion() };
  const about = { sha256: sha256Of(`${path}.safetensors`), recipe, trainedWith, figures };
  writeFileSync(`${path}.json`, `${JSON.stringify(about, null, 2)}\n`);
  console.log(`${path}.safetensors ${about.sha256}`);
}
