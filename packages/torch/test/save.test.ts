import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  AdamW,
  BatchNorm1d,
  Ema,
  Linear,
  liveTensors,
  load,
  Module,
  ops,
  readSafetensorsHeader,
  Sequential,
  SGD,
  save,
  scope,
  setDefaultDevice,
  type Tensor,
} from "@iqvae/torch";
import { afterAll, expect, test } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "save-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, "run.safetensors");

class Run {
  readonly net = new Sequential(new Linear(2, 3), new BatchNorm1d(3), new Linear(3, 1));
  readonly optimizer = new AdamW(this.net.namedParameters(), { lr: 0.1 });
  readonly ema = new Ema(this.net.namedParameters());
  step(): void {
    scope(() => {
      this.optimizer.zeroGrad();
      this.net
        .forward(ops.aten.arange(8).view([4, 2]).to("float32"))
        .square()
        .mean()
        .backward();
      this.optimizer.step();
      this.ema.update(0.5);
    });
  }
  get bits(): unknown {
    return [this.net, this.optimizer, this.ema].map((part) =>
      [...part.stateDict()].map(([name, x]) => [name, x.tolist()]),
    );
  }
}

test("all parts of a training go into one file, and out of it in one call", () => {
  const [run, other] = [new Run(), new Run()];
  run.step();
  const { net, optimizer, ema } = run;
  save({ net, optimizer, ema }, path, { step: "1" });
  expect([...readSafetensorsHeader(path).tensors.keys()]).toEqual(
    expect.arrayContaining(["net.0.weight", "net.1.running_mean", "optimizer.0.weight.first", "ema.2.bias"]),
  );
  const before = liveTensors();
  expect(load(path, { net: other.net, optimizer: other.optimizer, ema: other.ema })).toEqual({ step: "1" });
  expect(liveTensors()).toBe(before);
  expect(other.bits).toEqual(run.bits);
  run.step();
  other.step();
  expect(other.bits).toEqual(run.bits);
});

test("tensors stay where they are, whatever the default device", () => {
  const [run, other] = [new Run(), new Run()];
  run.step();
  setDefaultDevice("meta");
  try {
    save({ net: run.net, optimizer: run.optimizer, ema: run.ema }, path);
    load(path, { net: other.net, optimizer: other.optimizer, ema: other.ema });
  } finally {
    setDefaultDevice("cpu");
  }
  expect(other.bits).toEqual(run.bits);
});

test("a part can be loaded alone", () => {
  const [run, other] = [new Run(), new Run()];
  run.step();
  save({ net: run.net, optimizer: run.optimizer }, path);
  // What remembers nothing has nothing in the file.
  load(path, { net: other.net, sgd: new SGD(other.net.parameters()) });
  const values = ({ net }: Run) => [...net.stateDict().values()].map((x: Tensor) => x.tolist());
  expect(values(other)).toEqual(values(run));
});

test("what does not fit is named, and nothing is changed", () => {
  const [run, other] = [new Run(), new Run()];
  save({ net: run.net, optimizer: new AdamW(new Linear(1, 1).namedParameters()) }, path);
  const before = other.bits;
  expect(() => load(path, { net: other.net, optimizer: other.optimizer })).toThrow(
    /run\.safetensors.*'optimizer'.*'0\.weight\.first'/,
  );
  expect(() => load(path, { net: other.net, ema: other.ema })).toThrow(/'ema'.*missing.*'net', 'optimizer'/);
  class Wrong extends Module {
    readonly 0 = new Linear(2, 4);
  }
  expect(() => load(path, { net: new Wrong() })).toThrow(/'0\.weight' has shape \[3, 2\].*\[4, 2\]/);
  expect(other.bits).toEqual(before);
  expect(() => save({ "a.b": run.net }, path)).toThrow(/'a\.b'/);
  expect(() => load(path, { "": run.net })).toThrow(/''/);
});
