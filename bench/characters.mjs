// Training steps of packages/torch/examples/characters.mjs, a small transformer on characters. Prints one JSON line a repeat; the peer
// is peers/characters.py.
import { parseArgs } from "node:util";
import { AdamW, manualSeed, ops, setNumThreads, tuneProcess } from "@iqvae/torch";
import { CharacterModel, trainStep } from "../packages/torch/examples/characters.mjs";

const { values } = parseArgs({
  options: {
    threads: { type: "string", default: "2" },
    repeats: { type: "string", default: "5" },
    inner: { type: "string", default: "20" },
    characters: { type: "string", default: "96" },
  },
});
const { threads, repeats, inner, characters } = Object.fromEntries(
  Object.entries(values).map(([name, text]) => [name, Number(text)]),
);
tuneProcess();
setNumThreads(threads);
manualSeed(0);
const ids = ops.aten.randint(characters, [100_000]);
const model = new CharacterModel(characters);
const optimizer = new AdamW(model.parameters(), { lr: 1e-3 });
for (let i = 0; i < 10; i++) trainStep(model, optimizer, ids);
for (let repeat = 0; repeat < repeats; repeat++) {
  const start = performance.now();
  for (let i = 0; i < inner; i++) trainStep(model, optimizer, ids);
  console.log(JSON.stringify({ "steps/s": (1000 * inner) / (performance.now() - start) }));
}
console.log(JSON.stringify({ parameters: model.parameterCount() }));
