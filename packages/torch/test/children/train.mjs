// Trains a small network and prints, every 100 steps, its resident memory, live tensors and loss as JSON lines. Run with
// --expose-gc: what V8 has not yet collected would hide what libtorch keeps.
import { AdamW, Conv2d, clipGradNorm, Ema, GroupNorm, liveTensors, Module, manualSeed, ops, scope } from "@iqvae/torch";

const steps = Number(process.argv[2]);
const { aten } = ops;
manualSeed(1);

class Net extends Module {
  first = new Conv2d(3, 8, 3, { padding: "same" });
  norm = new GroupNorm(2, 8, { silu: true });
  last = new Conv2d(8, 3, 3, { padding: "same" });
  forward(x) {
    return this.last.forward(this.norm.forward(this.first.forward(x)));
  }
}

const net = new Net();
const parameters = net.namedParameters();
const optimizer = new AdamW(parameters);
const ema = new Ema(parameters);
for (let step = 1; step <= steps; step++) {
  const loss = scope(() => {
    const x = aten.randn([4, 3, 16, 16]);
    const loss = aten.mse_loss(net.forward(x), x.neg());
    loss.backward();
    const { scale } = clipGradNorm(parameters.values(), 1);
    optimizer.step({ gradientScale: scale });
    optimizer.zeroGrad();
    ema.update(0.99);
    return loss.item();
  });
  if (step % 100 !== 0) continue;
  globalThis.gc();
  console.log(JSON.stringify({ step, rss: process.memoryUsage.rss(), live: liveTensors(), loss }));
}
