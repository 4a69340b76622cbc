import { Worker } from "node:worker_threads";
import { getNumThreads, Linear, liveTensors, manualSeed, ops, type Tensor, tensor } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import { compiledChild } from "./children/compiled.ts";

const { aten } = ops;
const leaf = (shape: number[]) => aten.randn(shape).requires_grad_();

describe("backwardAsync", () => {
  test("gives the gradients of backward, in the same bits, with as many threads", async () => {
    manualSeed(1);
    const [net, x] = [new Linear(64, 64), aten.randn([256, 64])];
    const loss = () => net.forward(x).tanh().square().mean();
    loss().backward();
    const bits = () => net.parameters().map(({ grad }) => [...grad!.read("float32")]);
    const expected = bits();
    net.zeroGrad();
    const threads = getNumThreads();
    await loss().backwardAsync();
    expect(bits()).toEqual(expected);
    expect(getNumThreads()).toBe(threads);
  });

  test("takes a gradient, and keeps the graph when asked to", async () => {
    const x = tensor([1, 2], { requiresGrad: true });
    const y = x.square();
    await y.backwardAsync(tensor([1, 10]), { retainGraph: true });
    await y.backwardAsync(tensor([1, 10]));
    expect(x.grad!.tolist()).toEqual([4, 80]);
    await expect(y.backwardAsync(tensor([1, 1]))).rejects.toThrow(/second time/);
  });

  test("lets JavaScript go on, and keeps gradients shut until it is done", async () => {
    const x = leaf([600, 600]);
    let y: Tensor = x;
    for (let i = 0; i < 30; i++) y = y.matmul(x).div(600);
    const other = tensor([1], { requiresGrad: true });
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    let done = false;
    const pass = y
      .sum()
      .backwardAsync()
      .then(() => {
        done = true;
      });
    expect(() => x.grad).toThrow(/await backwardAsync/);
    expect(() => {
      other.grad = undefined;
    }).toThrow(/await backwardAsync/);
    expect(aten.ones([2]).sum().item()).toBe(2);
    while (!done) await new Promise(setImmediate);
    await pass;
    clearInterval(timer);
    expect(turns).toBeGreaterThan(1);
    expect(x.grad!.shape).toEqual([600, 600]);
  });

  test("rejects with the reason, and opens gradients again", async () => {
    const x = leaf([2]);
    await expect(x.mul(2).backwardAsync()).rejects.toThrow(/grad can be implicitly created only for scalar/);
    await expect(tensor([1]).sum().backwardAsync()).rejects.toThrow(/does not require grad/);
    expect(x.grad).toBeUndefined();
  });

  test("keeps no tensor, and does not mind that its own is released", async () => {
    const x = leaf([3]);
    const before = liveTensors();
    const loss = x.square().sum();
    const pass = loss.backwardAsync();
    loss.dispose();
    await pass;
    x.grad = undefined;
    expect(liveTensors() - before).toBeLessThanOrEqual(1); // the square waits for the collector
  });

  test("a worker that ends in the middle of one does no harm", async () => {
    const script = compiledChild("background.mjs");
    for (let i = 0; i < 3; i++) {
      const worker = new Worker(script);
      await new Promise((resolve) => worker.once("message", resolve));
      await worker.terminate();
    }
    expect(aten.ones([2]).sum().item()).toBe(2);
  });
});
