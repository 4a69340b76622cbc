// Microseconds for one `mul` of two small tensors, its release included: what a call costs, since it computes next to nothing.
// Prints one JSON line a repeat; the peer is peers/op_overhead.py.
import { parseArgs } from "node:util";
import { ops, scope, setNumThreads, tensor, tuneProcess } from "@iqvae/torch";

const { values } = parseArgs({
  options: {
    threads: { type: "string", default: "2" },
    repeats: { type: "string", default: "7" },
    calls: { type: "string", default: "100000" },
  },
});
const calls = Number(values.calls);
const SCOPE = 500;
tuneProcess();
setNumThreads(Number(values.threads));

const a = tensor([1, 2, 3, 4]);
const b = tensor([5, 6, 7, 8]);

/** A scope every few hundred calls, as a training step has. */
function multiply(count) {
  for (let done = 0; done < count; done += SCOPE)
    scope(() => {
      for (let i = 0; i < SCOPE; i++) ops.aten.mul(a, b);
    });
}

multiply(calls);
for (let repeat = 0; repeat < Number(values.repeats); repeat++) {
  const start = performance.now();
  multiply(calls);
  console.log(JSON.stringify({ microseconds: ((performance.now() - start) * 1000) / calls }));
}
