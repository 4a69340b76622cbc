import { ops, scope, type Tensor, unscoped } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import { cachedSampler } from "../../src/sampling/sampler.ts";
import { drawn, SHAPE, sharpModel } from "./support.ts";

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
