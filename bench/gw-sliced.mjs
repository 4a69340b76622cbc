// Sliced Gromov-Wasserstein, 4,096 × 32 against 4,096 × 16 along 50 directions, forward and backward.
// Prints one JSON line a repeat; the peer is peers/gw_sliced.py.
import { parseArgs } from "node:util";
import { Generator, ops, scope, setNumThreads, tuneProcess } from "@iqvae/torch";
import { sliced } from "../packages/iqvae/dist/regularizer/index.js";

const { values } = parseArgs({
  options: {
    repeats: { type: "string", default: "7" },
    threads: { type: "string", default: "2" },
    inner: { type: "string", default: "10" },
  },
});
const inner = Number(values.inner);
tuneProcess();
setNumThreads(Number(values.threads));

const generator = new Generator(0);
const features = (dimension) => {
  const z = ops.aten.randn([4096, dimension], { generator });
  z.requiresGrad = true;
  return z;
};
const [zX, zC] = [features(32), features(16)];
const divergence = sliced({ directions: 50 });

function once() {
  zX.grad = undefined;
  zC.grad = undefined;
  scope(() => divergence(zX, zC, generator).backward());
}

for (let i = 0; i < 5; i++) once();
for (let repeat = 0; repeat < Number(values.repeats); repeat++) {
  const start = performance.now();
  for (let i = 0; i < inner; i++) once();
  console.log(JSON.stringify({ seconds: (performance.now() - start) / 1000 / inner }));
}
