// What processes of one thread gain over one process of as many threads in a training step of each stage, as `train` measures it before it chooses.
// Prints one JSON line a pair.
import { parseArgs } from "node:util";
import { timeApart } from "../packages/iqvae/dist/cli/choose-processes.js";
import { loadConfig } from "../packages/iqvae/dist/config/index.js";

const { values } = parseArgs({
  options: {
    threads: { type: "string", default: "2" },
    repeats: { type: "string", default: "5" },
    preset: { type: "string", default: "start" },
  },
});
const [config, cores] = [loadConfig(values.preset), Number(values.threads)];
for (let repeat = 0; repeat < Number(values.repeats); repeat++) {
  const [one, several] = [await timeApart(config, 1, cores), await timeApart(config, cores, cores)];
  if (one === undefined || several === undefined) throw new Error("a step could not be timed within a minute");
  console.log(
    JSON.stringify({
      stage1Gain: one.stage1 / several.stage1,
      stage2Gain: one.stage2 / several.stage2,
      stage1One: one.stage1,
      stage1Several: several.stage1,
      stage2One: one.stage2,
      stage2Several: several.stage2,
    }),
  );
}
