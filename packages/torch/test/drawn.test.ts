import { readFileSync } from "node:fs";
import {
  Adam,
  AdamW,
  AvgPool2d,
  BatchNorm1d,
  BatchNorm2d,
  BCEWithLogitsLoss,
  Conv1d,
  Conv2d,
  ConvTranspose2d,
  CosineAnnealingLR,
  CrossEntropyLoss,
  clipGradNorm_,
  type DType,
  GroupNorm,
  L1Loss,
  LayerNorm,
  Linear,
  type LRScheduler,
  MaxPool2d,
  type Module,
  MSELoss,
  MultiheadAttention,
  NLLLoss,
  type Optimizer,
  ops,
  SGD,
  StepLR,
  scope,
  type Tensor,
} from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import { goldenPath } from "./goldens.ts";

/* The cases of tools/golden_drawn.py: options drawn at random, and a mark of each tensor that PyTorch makes of them. */

const { aten } = ops;

type Options = Readonly<Record<string, unknown>>;
type Shape = readonly number[];

interface Case {
  readonly name: string;
  readonly args: readonly unknown[];
  readonly options: Options;
  readonly keys: readonly string[];
  readonly marks: Readonly<Record<string, number>>;
}

interface LayerCase extends Case {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly layout: string;
  readonly training: boolean;
}

interface LossCase extends Case {
  readonly shape: Shape;
  readonly target: Shape;
}

interface AttentionCase extends Case {
  readonly call: Options;
  readonly masks: Readonly<Record<string, Shape>>;
  readonly booleans: boolean;
  readonly shapes: readonly Shape[];
}

interface OptimizerCase extends Case {
  readonly groups: readonly Options[];
  readonly clip: number | null;
  readonly absent: number;
  readonly scheduler: readonly [string, ...number[]];
}

const lines = readFileSync(goldenPath("drawn.jsonl"), "utf8").trimEnd().split("\n");

/** The cases of a kind, each after what its test is called. */
function drawn<C extends Case>(kind: string): [title: string, drawn: C][] {
  return lines.flatMap((line): [string, C][] => {
    const found = JSON.parse(line) as C & { kind: string };
    return found.kind === kind ? [[line.replace(/, "marks".*/, ""), found]] : [];
  });
}

const CLASSES = {
  ...{ Conv1d, Conv2d, ConvTranspose2d, BatchNorm1d, BatchNorm2d, LayerNorm, GroupNorm, MaxPool2d, AvgPool2d, Linear },
  ...{ CrossEntropyLoss, NLLLoss, MSELoss, L1Loss, BCEWithLogitsLoss },
  ...{ SGD, Adam, AdamW, StepLR, CosineAnnealingLR },
};

const made = <T>(name: string, ...args: readonly unknown[]): T =>
  new (CLASSES[name as keyof typeof CLASSES] as unknown as new (...args: readonly unknown[]) => T)(...args);

const count = (shape: Shape): number => shape.reduce((product, size) => product * size, 1);

function values(shape: Shape, seed: number, dtype: DType = "float32"): Tensor {
  const all = aten.arange(count(shape), { dtype: "float64" }).mul(1.3).add(seed).cos();
  return all.reshape(shape).to(dtype);
}

const weighted = (x: Tensor): Tensor =>
  x
    .double()
    .mul(aten.arange(x.numel(), { dtype: "float64" }).cos().reshape(x.shape))
    .sum();

/** Up to what roundings of the elements make of the sum. */
function expectMark(marks: Case["marks"], what: string, x: Tensor): void {
  const given = x.detach();
  const size = given.double().abs().sum().item();
  const allowed = (given.dtype === "float64" ? 1e-9 : 1e-5) * (1 + size);
  expect(Math.abs(weighted(given).item() - marks[what]!), what).toBeLessThan(allowed);
}

function laid(x: Tensor, layout: string): Tensor {
  if (layout === "turned" && x.ndim >= 2) return x.transpose(-1, -2).contiguous().transpose(-1, -2);
  if (layout === "channels_last" && x.ndim === 4) return x.contiguous({ memory_format: "channels_last" });
  if (layout === "part" && x.ndim >= 1) return aten.cat([x, x], -1).narrow(-1, 0, x.shape.at(-1)!);
  return x;
}

function fill(module: Module, dtype: DType): void {
  module.to(dtype);
  [...module.stateDict()].forEach(([name, tensor], seed) => {
    if (tensor.is_floating_point())
      tensor.detach().copy_(
        values(tensor.shape, seed, dtype)
          .mul(0.5)
          .add(name.includes("var") ? 0.8 : 0.1),
      );
  });
}

function expectState(marks: Case["marks"], module: Module): void {
  for (const [name, parameter] of module.namedParameters()) expectMark(marks, name, parameter.grad!);
  for (const [name, buffer] of module.namedBuffers()) expectMark(marks, name, buffer);
}

describe("what PyTorch makes of options that were drawn at random", () => {
  test.each(drawn<LayerCase>("layer"))(
    "%s",
    (_, { name, args, options, shape, dtype, layout, training, keys, marks }) =>
      scope(() => {
        const layer = made<Module & { forward(x: Tensor): Tensor }>(name, ...args, options).train(training);
        expect([...layer.stateDict().keys()]).toEqual(keys);
        fill(layer, dtype);
        const x = laid(values(shape, 100, dtype), layout)
          .detach()
          .requires_grad_();
        const y = layer.forward(x);
        weighted(y).backward();
        expectMark(marks, "output", y);
        expectMark(marks, "input", x.grad!);
        expectState(marks, layer);
      }),
  );

  test.each(drawn<LossCase>("loss"))("%s", (_, { name, options, shape, target, keys, marks }) =>
    scope(() => {
      // A weight stands for its length.
      const tensors = Object.entries(options).flatMap(([option, size], seed) =>
        /weight$/i.test(option) ? [[option, values([size as number], seed).add(1.2)]] : [],
      );
      const loss = made<MSELoss>(name, { ...options, ...Object.fromEntries(tensors) });
      expect([...loss.stateDict().keys()]).toEqual(keys);
      const x = values(shape, 100).requires_grad_();
      const isOfClasses = name === "CrossEntropyLoss" || name === "NLLLoss";
      const wanted = isOfClasses
        ? aten.arange(count(target)).reshape(target).remainder(shape[1]!)
        : values(target, 200).square();
      const y = loss.forward(x, wanted);
      weighted(y).backward();
      expectMark(marks, "output", y);
      expectMark(marks, "input", x.grad!);
    }),
  );

  test.each(drawn<AttentionCase>("attention"))("%s", (_, { args, options, call, masks, booleans, shapes, marks }) =>
    scope(() => {
      const attention = new MultiheadAttention(args[0] as number, args[1] as number, options);
      fill(attention, "float32");
      const inputs = shapes.map((shape, i) => values(shape, 100 + i).requires_grad_()) as [Tensor, Tensor, Tensor];
      const given = Object.entries(masks).map(([name, shape]) => {
        const mask = values(shape, 200);
        return [name, booleans ? mask.gt(0.5) : mask];
      });
      const [y, weights] = attention.forward(...inputs, { ...call, ...Object.fromEntries(given) });
      weighted(y).add(weighted(weights!)).backward();
      expectMark(marks, "output", y);
      expectMark(marks, "weights", weights!);
      inputs.forEach((x, i) => {
        expectMark(marks, `input ${i}`, x.grad!);
      });
      expectState(marks, attention);
    }),
  );

  test.each(drawn<OptimizerCase>("optimizer"))("%s", (_, { name, options, groups, clip, absent, scheduler, marks }) =>
    scope(() => {
      const parameters = [[5], [3, 4], [2, 3, 1, 2]].map((shape, i) => values(shape, i).requires_grad_());
      const parts = groups.length === 1 ? [parameters] : [parameters.slice(0, 1), parameters.slice(1)];
      const begin = (): [Optimizer<{ lr: number }, unknown>, LRScheduler] => {
        const all = parts.map((params, i) => ({ params, ...groups[i] }));
        const optimizer = made<Optimizer<{ lr: number }, unknown>>(name, all, options);
        return [optimizer, made(scheduler[0], optimizer, ...scheduler.slice(1))];
      };
      let [optimizer, schedule] = begin();
      let norm = aten.zeros([]);
      for (let step = 0; step < 5; step++) {
        parameters.forEach((parameter, i) => {
          parameter.grad = step === absent && i === 0 ? undefined : values(parameter.shape, 10 * step + i);
        });
        if (clip !== null) norm = clipGradNorm_(parameters, clip);
        optimizer.step();
        schedule.step();
        // A run that goes on from what was saved is no other.
        if (step !== 2) continue;
        const [state, rates] = [optimizer.stateDict(), schedule.stateDict()];
        [optimizer, schedule] = begin();
        optimizer.loadStateDict(state);
        schedule.loadStateDict(rates);
      }
      parameters.forEach((parameter, i) => {
        expectMark(marks, `${i}`, parameter);
      });
      expectMark(marks, "norm", norm);
      expect(optimizer.lr).toBeCloseTo(marks.lr!, 12);
    }),
  );
});
