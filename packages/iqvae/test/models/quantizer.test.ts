import { liveTensors, manualSeed, noGrad, ops, scope, type Tensor, tensor } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import { Quantizer, usageOf } from "../../src/models/quantizer.ts";

/** A quantizer of two codes in two dimensions whose projections are the identity and whose codes are the axes. */
function axes(): Quantizer {
  const quantizer = new Quantizer(2, { codes: 2, codeDim: 2 });
  noGrad(() => {
    for (const layer of [quantizer.down, quantizer.up]) {
      layer.weight.copy_(ops.aten.eye(2));
      layer.bias!.fill_(0);
    }
    quantizer.codebook.copy_(ops.aten.eye(2));
    quantizer.sums.copy_(ops.aten.eye(2));
    quantizer.counts.fill_(1);
    quantizer.placed.fill_(1);
  });
  return quantizer;
}

/** Rows of two numbers as a feature map `[1, 2, 1, n]`. */
const features = (rows: number[][]): Tensor => tensor(rows).t().reshape([1, 2, 1, rows.length]);
const values = (x: Tensor): number[] => [...x.read("float32")];
const near = (actual: number[], expected: number[]): void => {
  expect(actual.length).toBe(expected.length);
  for (const [i, value] of actual.entries()) expect(value).toBeCloseTo(expected[i]!, 5);
};

describe("one step of the quantizer by hand", () => {
  test("takes the code of the largest cosine, whatever the length", () => {
    const { indices } = axes().forward(
      features([
        [3, 0],
        [0.6, 0.8],
        [0.8, 0.6],
      ]),
      "use",
    );
    expect([...indices.read("int64")]).toEqual([0n, 1n, 0n]);
  });

  test("moves codes to the running mean of their vectors", () => {
    const quantizer = axes();
    quantizer.forward(
      features([
        [3, 0],
        [0.6, 0.8],
      ]),
      "learn",
    );
    near(values(quantizer.counts), [1, 1]); // 0.98 · 1 + 0.02 · 1
    near(values(quantizer.sums), [1, 0, 0.02 * 0.6, 0.98 + 0.02 * 0.8]);
    const length = Math.hypot(0.012, 0.996);
    near(values(quantizer.codebook), [1, 0, 0.012 / length, 0.996 / length]);
  });

  test("measures the commitment as squared distance to the codes before they move, and pulls vectors to them", () => {
    const input = features([
      [3, 0],
      [0.6, 0.8],
    ]);
    input.requiresGrad = true;
    const { commitment } = axes().forward(input, "learn");
    expect(commitment.item()).toBeCloseTo((0 + 0.36 + 0.04) / 2, 5);
    commitment.backward();
    // (z − e) of the second is (0.6, −0.2), of which 0.2 lies along z, where nothing moves on the sphere.
    near(values(input.grad!.contiguous()), [0, 0.6 - 0.2 * 0.6, 0, -0.2 - 0.2 * 0.8]);
  });

  test("hands codes on, and gradients past them", () => {
    const input = features([
      [0.6, 0.8],
      [1, 0],
    ]);
    input.requiresGrad = true;
    const { output, unit } = axes().forward(input, "use");
    near(values(output.detach().contiguous()), [0, 1, 1, 0]);
    const weights = tensor([[[[1, 2]], [[3, 4]]]]).reshape([1, 2, 1, 2]);
    output.mul(weights).sum().backward();
    const through = input.grad!.clone();
    input.grad = undefined;
    // The same gradient as if the unit vectors themselves had been handed on.
    const again = axes().forward(input, "bypass");
    // Codes that are not placed yet pull at nothing.
    again.output.mul(weights).sum().add(again.commitment).backward();
    expect(again.commitment.item()).toBe(0);
    near(values(through.contiguous()), values(input.grad!.contiguous()));
    expect(unit.shape).toEqual([1, 2, 1, 2]);
  });

  test("moves a code that nobody takes to a vector of the batch, with the mean count", () => {
    manualSeed(0);
    const quantizer = axes();
    noGrad(() => quantizer.counts.copy_(tensor([1, 0.01])));
    const row = [1, 0.1];
    quantizer.forward(features([row, row, row, row, row, row]), "learn");
    const length = Math.hypot(1, 0.1);
    near(values(quantizer.codebook).slice(2), [1 / length, 0.1 / length]);
    near(values(quantizer.sums).slice(2), [3 / length, 0.3 / length]);
    expect(values(quantizer.counts)[1]).toBe(3); // six vectors, two codes
  });

  test.each([
    [0.3, 3],
    [0.31, 0.98 * 0.31],
  ])("a code is dead below a tenth of the mean count: %d becomes %d", (before, after) => {
    const quantizer = axes();
    noGrad(() => quantizer.counts.copy_(tensor([1, before])));
    quantizer.forward(features(Array.from({ length: 6 }, () => [1, 0.1])), "learn");
    expect(values(quantizer.counts)[1]).toBeCloseTo(after, 5); // a tenth of three is 0.3
  });

  test("leaves the codebook alone unless it learns", () => {
    for (const mode of ["use", "bypass"] as const) {
      const quantizer = axes();
      quantizer.forward(features([[0.6, 0.8]]), mode);
      near(values(quantizer.codebook), [1, 0, 0, 1]);
      near(values(quantizer.counts), [1, 1]);
    }
  });
});

test("k-means places codes where the vectors are, once", () => {
  manualSeed(3);
  const quantizer = new Quantizer(4, { codes: 8, codeDim: 4 });
  const clusters = ops.aten.randn([8, 4]).mul(5);
  const rows = clusters.repeat([32, 1]).add(ops.aten.randn([256, 4]).mul(0.01));
  const map = rows.t().reshape([1, 4, 16, 16]);
  const before = quantizer.forward(map, "use").commitment.item();
  quantizer.forward(map, "learn");
  const after = quantizer.forward(map, "use").commitment.item();
  expect(after).toBeLessThan(before / 3);
  expect(quantizer.placed.item()).toBe(1);
});

test("k-means, by hand: eight rounds from vectors that are drawn, and the step that follows them", () => {
  const [N, K] = [150, 8];
  const quantizer = new Quantizer(2, { codes: K, codeDim: 2 });
  noGrad(() => {
    quantizer.down.weight.copy_(ops.aten.eye(2));
    quantizer.down.bias!.fill_(0);
  });
  const unit = ([x, y]: readonly [number, number]) => [x / Math.hypot(x, y), y / Math.hypot(x, y)] as const;
  const rows = Array.from({ length: N }, (_, i) => unit([Math.cos(i ** 2), Math.sin(i ** 2)]));
  /** The sum of the vectors whose nearest code is one. */
  const sumOf = (codes: readonly (readonly [number, number])[], code: number) =>
    rows.reduce<readonly [number, number]>(
      ([x, y], row) => {
        const cosines = codes.map(([a, b]) => a * row[0] + b * row[1]);
        return cosines.indexOf(Math.max(...cosines)) === code ? [x + row[0], y + row[1]] : [x, y];
      },
      [0, 0],
    );
  const round = (codes: readonly (readonly [number, number])[]) => codes.map((_, k) => unit(sumOf(codes, k)));
  manualSeed(7);
  const drawn = [...ops.aten.randperm(N).read("int64")].slice(0, K).map((row) => rows[Number(row)]!);
  manualSeed(7);
  quantizer.forward(features(rows.map((row) => [...row])), "learn");
  const placed = Array.from({ length: 8 }).reduce<typeof drawn>(round, drawn);
  const seventh = Array.from({ length: 7 }).reduce<typeof drawn>(round, drawn);
  const followed = placed.map(([x, y], k) => {
    const [a, b] = sumOf(placed, k);
    return unit([(0.98 * x * N) / K + 0.02 * a, (0.98 * y * N) / K + 0.02 * b]);
  });
  near(values(quantizer.codebook), followed.flat());
  expect(seventh).not.toEqual(placed); // so that fewer rounds would be seen
});

test("codes remember where k-means has put them, as if that had been their vectors", () => {
  manualSeed(3);
  const quantizer = new Quantizer(2, { codes: 1, codeDim: 2 });
  noGrad(() => {
    quantizer.down.weight.copy_(ops.aten.eye(2));
    quantizer.down.bias!.fill_(0);
  });
  const rows = Array.from({ length: 5 }, () => [3, 4]);
  quantizer.forward(features(rows), "learn");
  near(values(quantizer.counts), [5]);
  near(values(quantizer.sums), [3, 4]);
  quantizer.forward(features([[4, -3]]), "learn");
  near(values(quantizer.sums), [0.98 * 3 + 0.02 * 0.8, 0.98 * 4 - 0.02 * 0.6]);
});

test("decoding the numbers of the codes gives what the forward pass handed on", () => {
  manualSeed(1);
  const quantizer = new Quantizer(16, { codes: 32, codeDim: 8 });
  const map = ops.aten.randn([2, 16, 4, 4]);
  const { output, indices } = quantizer.forward(map, "use");
  const looked = quantizer.lookup(indices);
  expect(looked.sub(output).abs().max().item()).toBeLessThan(1e-5);
  expect([...quantizer.nearest(quantizer.project(map)).read("int64")]).toEqual([...indices.read("int64")]);
});

test("nothing is left behind by a hundred steps", () => {
  const quantizer = new Quantizer(8, { codes: 16, codeDim: 4 });
  const step = (): void => scope(() => void quantizer.forward(ops.aten.randn([2, 8, 4, 4]), "learn"));
  step();
  const before = liveTensors();
  for (let i = 0; i < 100; i++) step();
  expect(liveTensors()).toBe(before);
});

test("perplexity is the number of codes when all are used alike, and 1 when one is", () => {
  expect(usageOf([1, 1, 1, 1])).toEqual({ active: 1, perplexity: expect.closeTo(4, 10) });
  expect(usageOf([0, 9, 0, 0])).toEqual({ active: 0.25, perplexity: 1 });
});
