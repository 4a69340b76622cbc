// Works on tensors until it is terminated, and says so each time; some tensors and modes stay open on purpose.
import { parentPort } from "node:worker_threads";
import { Generator, inferenceMode, liveTensors, manualSeed, ops, scope, tensor } from "@iqvae/torch";

const { aten } = ops;
const kept = [new Generator(1)];
manualSeed(1);
inferenceMode(() => {
  for (let round = 0; ; round++) {
    scope(() =>
      aten
        .randn([32, 32])
        .mm(aten.ones([32, 32]))
        .sum()
        .item(),
    );
    kept.push(tensor([round]));
    if (round % 50 === 0) {
      const x = aten.ones([2], { dtype: "float32" });
      parentPort.postMessage({ round, live: liveTensors(), sum: x.add(1).sum().item() });
    }
  }
});
