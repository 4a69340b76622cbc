import { Adam, AdamW, decayMatrices, Linear, type Optimizer, ops, SGD, type Tensor, tensor } from "@iqvae/torch";
import { describe, expect, test } from "vitest";

const { aten } = ops;
const values = (x: Tensor) => [...x.detach().read("float32")];

describe("parameters of an optimizer", () => {
  const [x, y, z] = [1, 1, 1].map((value) => tensor([value], { requiresGrad: true })) as [Tensor, Tensor, Tensor];

  test("come as a list, by name, or in groups with settings of their own", () => {
    expect(new SGD([x, y]).paramGroups).toEqual([
      { params: new Map(Object.entries({ 0: x, 1: y })), lr: 1e-3, momentum: 0, nesterov: false, weightDecay: 0 },
    ]);
    const optimizer = new Adam([{ params: new Map([["a", x]]) }, { params: [y, z], lr: 0.5 }], { lr: 0.25 });
    expect(optimizer.paramGroups.map(({ params, lr }) => [[...params.keys()], lr])).toEqual([
      [["a"], 0.25],
      [["0", "1"], 0.5],
    ]);
    for (const each of [x, y, z]) each.grad = tensor([3]);
    optimizer.step(); // a first step of Adam moves by the rate
    expect([x, y, z].map((each) => Math.round(each.detach().item() * 100))).toEqual([75, 50, 50]);
    optimizer.lr = 0;
    optimizer.step();
    expect(optimizer.paramGroups.map(({ lr }) => lr)).toEqual([0, 0]);
    expect([x, y, z].map((each) => Math.round(each.detach().item() * 100))).toEqual([75, 50, 50]);
  });

  test("are each given once, and there are some", () => {
    expect(() => new SGD([x, x])).toThrow(/SGD.*'1' is given twice/);
    expect(() => new AdamW([{ params: [x] }, { params: [x] }])).toThrow(/AdamW.*'1' is given twice/);
    expect(() => new Adam([])).toThrow(/Adam: there are no parameters/);
    expect(() => new Adam([1] as never)).toThrow(/net\.parameters\(\)/);
    expect(() => new SGD([x], { nesterov: true })).toThrow(/nesterov needs a momentum/);
  });

  test("are no results of others, unless those keep their gradients", () => {
    const result = x.mul(2);
    for (const Kind of [SGD, Adam, AdamW])
      expect(() => new Kind(new Map([["w", result]]))).toThrow(
        `${Kind.name}: the parameter 'w' is computed from other`,
      );
    result.retain_grad();
    expect(new SGD([result, x.detach(), x.detach().requires_grad_()]).paramGroups[0]!.params.size).toBe(3);
  });

  test("have settings that make sense, also those that are changed later", () => {
    const wrong: [object, RegExp][] = [
      ...[Number.NaN, -0.1, Number.POSITIVE_INFINITY, null].map((lr): [object, RegExp] => [
        { lr },
        new RegExp(`lr must be a finite number from 0, but is ${lr}`),
      ]),
      [{ weightDecay: -1 }, /weightDecay must be .* but is -1/],
    ];
    const ofAdam: [object, RegExp][] = [
      [{ betas: [0.9, 1] }, /betas must be two numbers in \[0, 1\), .* but is \[0.9, 1\]/],
      [{ betas: [1.5, 0.9] }, /betas/],
      [{ betas: [0.9] }, /betas/],
      [{ betas: [0.9, -0.1] }, /betas/],
      [{ eps: -1e-8 }, /eps/],
    ];
    for (const [Kind, settings] of [
      [SGD, [...wrong, [{ momentum: -1 }, /momentum/]]],
      [Adam, [...wrong, ...ofAdam]],
      [AdamW, [...wrong, ...ofAdam]],
    ] as [new (parameters: unknown, options?: object) => SGD, [object, RegExp][]][])
      for (const [setting, message] of settings) {
        expect(() => new Kind([x], setting), Kind.name).toThrow(message);
        expect(() => new Kind([{ params: [x], ...setting }])).toThrow(`${Kind.name}: `);
        const optimizer = new Kind([{ params: [x] }, { params: [y] }]);
        Object.assign(optimizer.paramGroups[1]!, setting);
        for (const each of [x, y]) each.grad = tensor([1]);
        const before = values(x);
        expect(() => optimizer.step()).toThrow(message);
        expect(values(x)).toEqual(before);
      }
  });

  test("are those by default where they are undefined", () => {
    const none = { lr: undefined, weightDecay: undefined, momentum: undefined, betas: undefined, eps: undefined };
    const settings = (optimizer: Optimizer<{ lr: number }, unknown>) =>
      optimizer.paramGroups.map(({ params, ...each }) => each);
    for (const Kind of [SGD, Adam, AdamW] as (new (
      p: unknown,
      o?: object,
    ) => SGD)[]) {
      const [expected] = settings(new Kind([x]) as never);
      const made = [new Kind([x], none), new Kind([{ params: [x], ...none }])].flatMap((each) =>
        settings(each as never),
      );
      for (const each of made) expect(each).toMatchObject(expected!);
    }
  });

  test("a momentum of SGD may be set later, changed and taken away; its state goes on", () => {
    const begin = (at: number) => {
      const weight = tensor([at], { requiresGrad: true });
      weight.grad = tensor([1]);
      return { weight, optimizer: new SGD([weight], { lr: 1 }), at: () => weight.detach().item() };
    };
    const run = begin(0);
    const step = (momentum: number, of = run) => {
      of.optimizer.paramGroups[0]!.momentum = momentum;
      of.optimizer.step();
      return of.at();
    };
    expect([0, 0.5, 0.5].map((momentum) => step(momentum))).toEqual([-1, -2, -3.5]);
    const again = begin(-3.5);
    again.optimizer.paramGroups[0]!.momentum = 0.5;
    again.optimizer.loadStateDict(run.optimizer.stateDict());
    expect([step(0.5), step(0.5, again)]).toEqual([-5.25, -5.25]);
    expect([step(0), step(1)]).toEqual([-6.25, -9]);
  });

  test("decayMatrices parts those of two dimensions from the others", () => {
    const parameters = new Map(Object.entries({ w: aten.ones([1, 1]), b: x }));
    const groups = decayMatrices(parameters, 0.3).map(({ params, weightDecay }) => [[...params.keys()], weightDecay]);
    expect(groups).toEqual([
      [["w"], 0.3],
      [["b"], 0],
    ]);
  });

  test("without dimensions take a scale in a list of one", () => {
    for (const make of [SGD, Adam]) {
      const parameter = tensor(3).requires_grad_();
      parameter.grad = tensor(2);
      new make([parameter], { lr: 0.5 }).step({ gradientScale: tensor([0.25]) });
      expect([parameter.shape, parameter.item()]).toEqual([[], make === SGD ? 2.75 : expect.closeTo(2.5)]);
    }
  });

  test("may get another dtype after the optimizer was made, and what it remembers with them", () => {
    for (const make of [
      (p: Tensor[]) => new SGD(p, { lr: 0.1, momentum: 0.9 }),
      (p: Tensor[]) => new Adam(p, { lr: 0.1 }),
      (p: Tensor[]) => new AdamW(p, { lr: 0.1 }),
    ]) {
      const train = (turn: number): number[] => {
        const net = new Linear(1, 1, { bias: false });
        net.weight.detach().fill_(1);
        const optimizer = make(net.parameters());
        for (let step = 0; step < 4; step++) {
          if (step === turn) net.to("float64");
          net.weight.grad = aten.full_like(net.weight, step + 1.5);
          optimizer.step();
        }
        if (turn < 4) expect([...optimizer.stateDict().values()][0]!.dtype).toBe("float64");
        return [net.weight.item(), ...[...optimizer.stateDict().values()].map((each) => each.item())];
      };
      const expected = train(9);
      for (const turn of [0, 2])
        for (const [i, value] of train(turn).entries()) expect(value).toBeCloseTo(expected[i]!, 5);
    }
  });
});
