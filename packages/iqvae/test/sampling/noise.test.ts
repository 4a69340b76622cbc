import { ops, scope, type Tensor, unscoped } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import { GumbelBetween, GumbelStream } from "../../src/sampling/draw.ts";
import { cachedSampler } from "../../src/sampling/sampler.ts";
import { drawn, SHAPE, sharpModel } from "./support.ts";

const stream = (seed: bigint, codes = 20_000) => new GumbelStream([seed], codes, "cpu");

/** The noise of one step between two streams. */
function between(share: number, codes = 20_000): Float32Array {
  const noise = new GumbelBetween(stream(1n, codes), stream(2n, codes), share);
  const values = scope(() => noise.next().read("float32"));
  noise[Symbol.dispose]();
  return values;
}

describe("noise between two seeds", () => {
  test.each([0.1, 0.5, 0.8])("has Gumbel's distribution at share %d", (share) => {
    const values = between(share).sort();
    // The largest distance between the distribution functions (Kolmogorov–Smirnov); 1.95/√n is passed once in 1,000 times.
    let largest = 0;
    values.forEach((value, i) => {
      largest = Math.max(largest, Math.abs(Math.exp(-Math.exp(-value)) - (i + 0.5) / values.length));
    });
    expect(largest).toBeLessThan(1.95 / Math.sqrt(values.length));
  });

  test("begins and ends at the streams themselves, and comes near them on the way", () => {
    const [from, to] = [1n, 2n].map((seed) => scope(() => stream(seed).next().read("float32")));
    expect(between(0)).toEqual(from);
    expect(between(1)).toEqual(to);
    const near = between(1e-6);
    for (let i = 0; i < 200; i++) expect(near[i]).toBeCloseTo(from![i]!, 3);
  });

  test("moves by the angle: the correlation of normal quantiles with the first stream is cos(share·π/2)", () => {
    const normals = (values: Float32Array) => {
      const ranked = [...values.keys()].sort((a, b) => values[a]! - values[b]!);
      return scope(() => {
        const share = ops.aten.arange(values.length, { dtype: "float64" }).add(0.5).div(values.length);
        const quantiles = ops.aten.special_ndtri(share).read("float64");
        const out = new Float64Array(values.length);
        ranked.forEach((place, rank) => {
          out[place] = quantiles[rank]!;
        });
        return out;
      });
    };
    const first = normals(between(0));
    for (const share of [0.25, 0.5]) {
      const other = normals(between(share));
      const correlation = first.reduce((sum, value, i) => sum + value * other[i]!, 0) / first.length;
      expect(Math.abs(correlation - Math.cos((share * Math.PI) / 2))).toBeLessThan(0.03);
    }
  });
});

describe("a sampler", () => {
  const model = sharpModel(1);
  const conditions: Tensor = unscoped(() => ops.aten.randint(SHAPE.conditionCodes, [2, 9], { dtype: "int64" }));
  const draw = (options: Parameters<typeof drawn>[2], given = conditions) =>
    drawn(cachedSampler(model), given, options);

  test("with shared noise draws the same for a condition wherever it stands, and other tokens than with its own", () => {
    const shared = draw({ noise: { kind: "shared" }, samples: 2 });
    scope(() => {
      const second = draw({ noise: { kind: "shared" }, samples: 2 }, conditions.slice(0, 1, 2));
      expect(second).toEqual(shared.slice(32));
    });
    expect(draw({ samples: 2 })).not.toEqual(shared);
  });

  test("between two seeds begins with the one and ends with the other", () => {
    const at = (share: number) => draw({ seed: 5, noise: { kind: "between", to: 9, share } });
    expect(at(0)).toEqual(draw({ seed: 5, noise: { kind: "shared" } }));
    expect(at(1)).toEqual(draw({ seed: 9, noise: { kind: "shared" } }));
    expect(at(0.5)).not.toEqual(at(0));
    expect(at(0.5)).not.toEqual(at(1));
  });

  test("refuses what is no seed and no share", () => {
    expect(() => draw({ noise: { kind: "between", to: 0.5, share: 0 } })).toThrow(
      "noise.to must be a whole number, but is 0.5",
    );
    expect(() => draw({ noise: { kind: "between", to: 1, share: -1 } })).toThrow(
      "noise.share must lie in [0, 1], but is -1",
    );
  });
});
