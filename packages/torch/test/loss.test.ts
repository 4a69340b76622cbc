import {
  BCEWithLogitsLoss,
  CrossEntropyLoss,
  HuberLoss,
  KLDivLoss,
  L1Loss,
  type Module,
  MSELoss,
  NLLLoss,
  ops,
  SmoothL1Loss,
  scope,
  type Tensor,
  tensor,
} from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import { expectClose, readGoldens } from "./goldens.ts";

const goldens = readGoldens("criteria.safetensors");

type Criterion = Module & { forward(x: Tensor, target: Tensor): Tensor };
const REDUCTIONS = ["none", "mean", "sum"] as const;

const CASES: [name: string, make: (given: (name: string) => Tensor) => Criterion][] = [
  ...[
    ...[CrossEntropyLoss, NLLLoss, MSELoss, L1Loss, BCEWithLogitsLoss],
    ...[HuberLoss, SmoothL1Loss, KLDivLoss],
  ].flatMap((Loss) =>
    REDUCTIONS.map((reduction): (typeof CASES)[number] => [
      `${Loss.name} ${reduction}`,
      () => new Loss(reduction === "mean" ? {} : { reduction }),
    ]),
  ),
  [
    "CrossEntropyLoss with all",
    (given) => new CrossEntropyLoss({ weight: given("weight"), ignoreIndex: 2, labelSmoothing: 0.1 }),
  ],
  ["CrossEntropyLoss of planes", () => new CrossEntropyLoss()],
  ["CrossEntropyLoss of probabilities", () => new CrossEntropyLoss()],
  ["NLLLoss with all", (given) => new NLLLoss({ weight: given("weight"), ignoreIndex: 1 })],
  [
    "BCEWithLogitsLoss with all",
    (given) => new BCEWithLogitsLoss({ weight: given("weight"), posWeight: given("posWeight") }),
  ],
  ["HuberLoss with all", () => new HuberLoss({ delta: 0.3 })],
  ["SmoothL1Loss with all", () => new SmoothL1Loss({ beta: 0.2 })],
  ["SmoothL1Loss without a round part", () => new SmoothL1Loss({ beta: 0 })],
  ["KLDivLoss with all", () => new KLDivLoss({ reduction: "batchmean", logTarget: true })],
];

describe("losses against PyTorch", () => {
  test("all that there are", () => {
    const names = [...goldens.keys()].filter((name) => name.includes("Loss"));
    expect(CASES.map(([name]) => name).sort()).toEqual(names.sort());
  });

  test.each(CASES)("%s", (name, make) => {
    scope(() => {
      const given = (what: string) => goldens.get(name)!.get("given")!.get(what)!;
      const result = goldens.get(name)!.get("result")!;
      const x = given("x").clone().requires_grad_();
      const loss = make(given).forward(x, given("target"));
      expectClose(loss, result.get("loss")!, "loss");
      loss.mul(ops.aten.arange(loss.numel()).cos().reshape(loss.shape)).sum().backward();
      expectClose(x.grad!, result.get("slope")!, "gradient");
    });
  });

  test.each([CrossEntropyLoss, NLLLoss])("%s leaves targets of -100 out unless told otherwise", (Loss) => {
    const x = ops.aten.randn([3, 4]).log_softmax(1);
    const target = tensor([1, -100, 2], { dtype: "int64" });
    const kept = tensor([0, 2], { dtype: "int64" });
    const expected = new Loss().forward(x.index_select(0, kept), target.index_select(0, kept)).item();
    expect(new Loss().forward(x, target).item()).toBeCloseTo(expected, 6);
  });

  test("a weight is a buffer, which moves with its module and is not trained", () => {
    const weight = ops.aten.ones([4]);
    const loss = new CrossEntropyLoss({ weight });
    expect(loss.parameters()).toEqual([]);
    expect([...loss.namedBuffers()]).toEqual([["weight", weight]]);
  });

  test("two weights have PyTorch's names in a file", () => {
    const weights = { weight: ops.aten.ones([4]), posWeight: ops.aten.ones([4]) };
    expect([...new BCEWithLogitsLoss(weights).stateDict().keys()]).toEqual(["weight", "pos_weight"]);
  });

  const elementwise = [MSELoss, L1Loss, BCEWithLogitsLoss, HuberLoss, SmoothL1Loss, KLDivLoss].map(
    (Loss) => [Loss.name, Loss] as const,
  );
  test.each(elementwise)("%s does not spread one shape over another", (name, Loss) => {
    const [flat, column, row] = [[4], [4, 1], [1, 4]].map((shape) => ops.aten.zeros(shape)) as [Tensor, Tensor, Tensor];
    for (const [x, target] of [
      [flat, column],
      [column, flat],
      [column, row],
    ] as const)
      expect(() => new Loss().forward(x, target)).toThrow(
        `${name} expects tensors of one shape, but got [${x.shape.join(", ")}] and [${target.shape.join(", ")}]`,
      );
    expect(new Loss().forward(column, column).shape).toEqual([]);
  });

  test("settings that mean nothing are errors", () => {
    // @ts-expect-error there is no such reduction
    expect(() => new MSELoss({ reduction: "average" })).toThrow(/MSELoss.*"none", "mean".*"average"/);
    // @ts-expect-error nor is a property of all objects one
    expect(() => new L1Loss({ reduction: "toString" })).toThrow(/L1Loss.*"toString"/);
    for (const labelSmoothing of [-0.1, 1.1, Number.NaN])
      expect(() => new CrossEntropyLoss({ labelSmoothing })).toThrow(/labelSmoothing.*\[0, 1\]/);
    for (const delta of [0, -1, Number.NaN])
      expect(() => new HuberLoss({ delta })).toThrow(/HuberLoss: delta .* above 0/);
    expect(() => new SmoothL1Loss({ beta: -1 })).toThrow(/SmoothL1Loss: beta .* from 0/);
    // @ts-expect-error the divergence has a mean of its own, the others not
    expect(() => new HuberLoss({ reduction: "batchmean" })).toThrow(/HuberLoss.*"batchmean"/);
    const scalar = tensor(0.5);
    expect(() => new KLDivLoss({ reduction: "batchmean" }).forward(scalar, scalar)).toThrow(
      /KLDivLoss.*first dimension/,
    );
  });
});
