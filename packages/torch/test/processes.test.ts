import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { liveTensors, manualSeed, ops, scope, tensor } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import { compiledChild } from "./children/compiled.ts";

interface Report {
  readonly step: number;
  readonly rss: number;
  readonly live: number;
  readonly loss: number;
}

describe("a training process", () => {
  const reports = (script: string, steps: number): Report[] =>
    execFileSync(process.execPath, ["--expose-gc", script, String(steps)], { encoding: "utf8" })
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Report);

  test("of 2,000 steps grows by less than 2 % after step 200, and by no tensor", () => {
    const made = reports(compiledChild("train.mjs"), 2000);
    const at200 = made.find(({ step }) => step === 200)!;
    const last = made.at(-1)!;
    expect(last.step).toBe(2000);
    expect(last.live).toBe(at200.live);
    expect(last.rss / at200.rss).toBeLessThan(1.02);
    expect(last.loss).toBeLessThan(made[0]!.loss / 2);
  });

  test("with the same seed makes the same losses, bit for bit", () => {
    const script = compiledChild("train.mjs");
    const losses = () => reports(script, 200).map(({ loss }) => loss);
    expect(losses()).toEqual(losses());
  });
});

test("signals that come while it computes are heard, break nothing, and reach its children", () => {
  const out = execFileSync(process.execPath, [compiledChild("signals.mjs")], { encoding: "utf8" });
  const { heard, equal, blocked } = JSON.parse(out) as { heard: number; equal: boolean; blocked: string };
  expect(equal).toBe(true);
  expect(heard).toBeGreaterThan(20);
  expect(Number.parseInt(blocked, 16)).toBe(0);
});

describe("worker threads", () => {
  test("have tensors of their own and may be terminated at work", async () => {
    const script = compiledChild("worker.mjs");
    const mine = tensor([1, 2, 3]);
    const before = liveTensors();
    for (let round = 0; round < 5; round++) {
      const worker = new Worker(script);
      const [report] = (await once(worker, "message")) as [{ live: number; sum: number }];
      expect(report.sum).toBe(4);
      if (round % 2 === 0) await once(worker, "message");
      await worker.terminate();
      expect(liveTensors()).toBe(before);
      expect(scope(() => mine.add(1).sum().item())).toBe(9);
    }
  });

  test("work side by side", async () => {
    const script = compiledChild("worker.mjs");
    const workers = [new Worker(script), new Worker(script)];
    await Promise.all(workers.map((worker) => once(worker, "message")));
    const product = ops.aten
      .ones([64, 64])
      .mm(ops.aten.ones([64, 64]))
      .sum()
      .item();
    expect(product).toBe(64 ** 3);
    expect(await Promise.all(workers.map((worker) => worker.terminate()))).toEqual([1, 1]);
  });

  test("draw from the default generator of the process, or leave it alone with one of their own", async () => {
    const script = compiledChild("draw.mjs");
    const draw = () => scope(() => Array.from(ops.aten.randn([4]).read("float32")));
    manualSeed(3);
    const [first, second] = [draw(), draw()];
    const drawnAfterWorker = async (own: boolean) => {
      manualSeed(3);
      const [theirs] = (await once(new Worker(script, { workerData: { own } }), "message")) as [number[]];
      return { theirs, mine: draw() };
    };
    const alone = await drawnAfterWorker(true);
    expect(alone.mine).toEqual(first);
    expect(alone.theirs).not.toEqual(first);
    const shared = await drawnAfterWorker(false);
    expect(shared.theirs).toEqual(first);
    expect(shared.mine).toEqual(second);
  });
});
