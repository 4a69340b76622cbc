import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { liveTensors, type Tensor } from "@iqvae/torch";
import { expect, test } from "vitest";
import { readTorchPickle } from "../../src/features/torch-pickle.ts";
import { goldenPath, hashedWeights, numbers } from "../metrics/goldens.ts";
import { temporaryFolder } from "../run/support.ts";

const path = goldenPath("state-dict.pth");

/** The file with some of its bytes replaced. */
function altered(from: string, to: string): string {
  const text = readFileSync(path).toString("latin1");
  expect(text).toContain(from);
  const file = join(temporaryFolder(), "altered.pth");
  writeFileSync(file, Buffer.from(text.replace(from, to), "latin1"));
  return file;
}

test("a state dictionary of torch.save is read: other strides, shared storages, a number without a shape; counts are left out", () => {
  const state = readTorchPickle(path);
  const shapes = new Map([
    ["0.weight", [4, 3, 2, 2]],
    ...["weight", "bias", "running_mean", "running_var"].map((part) => [`1.${part}`, [4]] as const),
  ] as [string, number[]][]);
  const { tensors } = hashedWeights(shapes);
  expect([...state.keys()].sort()).toEqual([...shapes.keys(), "number", "shared.even", "shared.tail"].sort());
  for (const [name, expected] of tensors) {
    expect(state.get(name)!.shape).toEqual(shapes.get(name));
    expect(numbers(state.get(name)!)).toEqual(numbers(expected));
  }
  const read = (name: string): Tensor => state.get(name)!;
  expect(numbers(read("shared.even"))).toEqual([0, 2, 4, 6, 8]);
  expect(numbers(read("shared.tail"))).toEqual([7, 8, 9]);
  expect([read("number").shape, numbers(read("number"))]).toEqual([[], [2.5]]);
});

test("a pickle that would run something is refused, and named", () => {
  expect(() => readTorchPickle(altered("collections\nOrderedDict\n", "os\nsystem\n"))).toThrow(
    /altered\.pth cannot be read as a pickle of tensors, at byte \d+: it calls os\.system/,
  );
  expect(() => readTorchPickle(altered("torch\nFloatStorage\n", "torch\nHalfStorage\n"))).toThrow(
    /HalfStorage.*FloatStorage/,
  );
  expect(() => readTorchPickle(altered("torch._utils\n_rebuild_tensor_v2\n", "builtins\neval\n"))).toThrow(
    /it calls builtins\.eval/,
  );
});

test("what is damaged or something else is refused, wherever it ends", () => {
  const bytes = readFileSync(path);
  const file = join(temporaryFolder(), "cut.pth");
  const before = liveTensors();
  for (const end of [0, 1, 14, 15, 40, 140, 400, 700, 1000, bytes.length - 40, bytes.length - 1]) {
    writeFileSync(file, bytes.subarray(0, end));
    expect(() => readTorchPickle(file), `${end} bytes`).toThrow(/cut\.pth/);
  }
  writeFileSync(file, "PK\u0003\u0004");
  expect(() => readTorchPickle(file)).toThrow(
    /cut\.pth cannot be read as a pickle of tensors, at byte 1: operation 0x50/,
  );
  expect(liveTensors()).toBeLessThanOrEqual(before);
});

test("a tensor that goes beyond its storage is refused", () => {
  // BININT1 of `shared.tail`: 3 elements from the 7th on.
  const [tail, beyond] = [
    [0x4b, 7, 0x4b, 3],
    [0x4b, 7, 0x4b, 4],
  ].map((part) => Buffer.from(part).toString("latin1"));
  expect(() => readTorchPickle(altered(tail!, beyond!))).toThrow(
    /tensor of \[4\] that its storage '\d+' does not hold/,
  );
});
