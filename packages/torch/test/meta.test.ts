import {
  AdamW,
  autocast,
  Conv2d,
  dropoutAdd,
  Ema,
  grad,
  metaBytes,
  noGrad,
  observeCalls,
  ops,
  peakMetaBytes,
  scope,
  type Tensor,
  tensor,
} from "@iqvae/torch";
import { describe, expect, test } from "vitest";

const { aten } = ops;
const KILO = 1024;

/** A tensor of floats that has a gradient. */
function leaf(shape: readonly number[], device: string): Tensor {
  const made = aten.ones(shape, { device });
  made.requiresGrad = true;
  return made;
}

const described = (x: Tensor | null) => x && `${x} ${x.strides}`;

describe("what has no kernel of libtorch on meta gives shapes and gradients as on the CPU", () => {
  const integers = (device: string) => tensor([0, 2, 1], { dtype: "int64", device });
  const CASES: readonly [name: string, inputs: readonly (readonly number[])[], call: (...x: Tensor[]) => Tensor][] = [
    [
      "conv2d",
      [
        [2, 8, 9, 7],
        [4, 8, 3, 2],
      ],
      (x, w) => aten.conv2d(x!, w!, null, [2, 1], [1, 0]),
    ],
    ["conv2d with a bias", [[2, 8, 9, 7], [4, 8, 3, 3], [4]], (x, w, b) => aten.conv2d(x!, w!, b!, [1, 1], [1, 1])],
    [
      "conv2d in channels_last",
      [
        [2, 8, 9, 7],
        [4, 8, 3, 3],
      ],
      (x, w) => aten.conv2d(x!.contiguous({ memory_format: "channels_last" }), w!, null, [1, 1], [1, 1]),
    ],
    ["layer_norm", [[2, 3, 8], [8], [8]], (x, w, b) => aten.layer_norm(x!, [8], w!, b!)],
    [
      "layer_norm over two dimensions",
      [
        [2, 3, 8],
        [3, 8],
        [3, 8],
      ],
      (x, w, b) => aten.layer_norm(x!, [3, 8], w!, b!),
    ],
    [
      "l1_loss",
      [
        [2, 3],
        [2, 3],
      ],
      (a, b) => aten.l1_loss(a!, b!),
    ],
    ["embedding", [[4, 5]], (w) => aten.embedding(w!, integers(w!.device))],
    ["index_select", [[4, 5, 6]], (x) => x!.index_select(-2, integers(x!.device))],
    ["group_norm_silu", [[2, 8, 4, 4], [8], [8]], (x, w, b) => ops.fused.group_norm_silu(x!, w!, b!, 2, 1e-6, true)],
    [
      "dropout_add",
      [
        [2, 8],
        [2, 8],
      ],
      (x, y) => dropoutAdd(x!, y!, 0.5),
    ],
    ["dropout_add without a residual", [[2, 8]], (x) => dropoutAdd(x!, null, 0.5)],
  ];
  test.each(CASES)("%s", (_, shapes, call) => {
    const on = (device: string) =>
      scope(() => {
        const inputs = shapes.map((shape) => leaf(shape, device));
        const result = call(...inputs);
        return [result, ...grad([result.sum()], inputs)].map(described);
      });
    expect(on("meta")).toEqual(on("cpu"));
  });

  test("optimizer, averages and the norm of gradients", () => {
    scope(() => {
      const weights = new Map([["w", leaf([3, 4], "meta")]]);
      const [optimizer, ema] = [new AdamW(weights), new Ema(weights)];
      weights.get("w")!.square().sum().backward();
      optimizer.step({ gradientScale: ops.fused.global_norm([weights.get("w")!.grad!]) });
      ema.update(0.9);
      expect(optimizer.stateDict().get("w.updates")!.item()).toBe(1);
    });
  });
});

describe("bytes", () => {
  test("of live tensors are counted, views once", () => {
    const before = metaBytes();
    const x = aten.empty([KILO], { device: "meta" });
    const view = x.reshape([2, KILO / 2]);
    expect(metaBytes() - before).toBe(4 * KILO);
    x.dispose();
    expect(metaBytes() - before).toBe(4 * KILO);
    view.dispose();
    expect(metaBytes() - before).toBe(0);
  });

  test("at the worst moment are those of all that lived at once", () => {
    const before = metaBytes();
    const { result, peak } = peakMetaBytes(() =>
      scope(() => {
        scope(() => void aten.empty([2 * KILO], { device: "meta" }));
        scope(() => void aten.empty([3 * KILO], { device: "meta" }));
        return aten.empty([KILO], { device: "meta" });
      }),
    );
    expect(peak - before).toBe(12 * KILO);
    expect(metaBytes() - before).toBe(4 * KILO);
    result.dispose();
  });

  test("are those of the whole where a part of it is measured by itself", () => {
    const make = (size: number) => scope(() => void aten.empty([size], { device: "meta" }));
    const before = metaBytes();
    const parts: number[] = [];
    const { peak } = peakMetaBytes(() => {
      make(3 * KILO);
      parts.push(peakMetaBytes(() => make(KILO)).peak, peakMetaBytes(() => make(2 * KILO)).peak);
      make(1);
    });
    expect([...parts, peak].map((each) => each - before)).toEqual([4 * KILO, 8 * KILO, 12 * KILO]);
    expect(peakMetaBytes(() => make(KILO)).peak - before).toBe(4 * KILO);
    expect(() => peakMetaBytes(async () => {})).toThrow(/peakMetaBytes\(\) got an asynchronous function/);
  });

  test("include what the way back keeps, and what it makes", () => {
    scope(() => {
      const [x, w] = [leaf([KILO, KILO], "meta"), leaf([KILO, KILO], "meta")];
      const before = metaBytes();
      const loss = scope(() => x.mm(w).square().sum());
      expect(metaBytes() - before).toBe(4 * KILO ** 2 + 4); // the product, for the square
      const { peak } = peakMetaBytes(() => loss.backward());
      // The product, its gradient, and the gradients of both sides.
      expect(peak - before).toBeGreaterThanOrEqual(4 * 4 * KILO ** 2);
      expect(metaBytes() - before).toBe(2 * 4 * KILO ** 2 + 4);
    });
  });

  test("of a network are its weights'", () => {
    const before = metaBytes();
    const made = new Conv2d(8, 16, 3, {});
    expect(metaBytes() - before).toBe(0); // on the CPU
    for (const weight of made.stateDict().values()) weight.dispose();
  });
});

describe("autocast on meta", () => {
  test("computes products in bfloat16 and nothing else", () => {
    scope(() => {
      const x = aten.ones([2, 4], { device: "meta" });
      const w = aten.ones([4, 4], { device: "meta" });
      const [product, sum, wide] = autocast({ device: "meta" }, () => [
        x.mm(w),
        x.add(1),
        autocast({ device: "meta", enabled: false }, () => x.mm(w)),
      ]);
      expect([product, sum, wide, x.mm(w)].map(({ dtype }) => dtype)).toEqual([
        "bfloat16",
        "float32",
        "float32",
        "float32",
      ]);
    });
  });

  test("computes all kinds of products so, those of layers too", () => {
    scope(() => {
      const on = (...shape: number[]) => aten.ones(shape, { device: "meta" });
      const products = autocast({ device: "meta" }, () => [
        ops.fused.conv2d(on(1, 3, 4, 4), on(2, 3, 1, 1), null, 1, 0),
        aten.conv2d(on(1, 3, 4, 4), on(2, 3, 1, 1)),
        aten.conv1d(on(1, 3, 4), on(2, 3, 1)),
        aten.linear(on(2, 3), on(4, 3)),
        aten.matmul(on(2, 3), on(3, 4)),
        aten.bmm(on(1, 2, 3), on(1, 3, 4)),
        aten.addmm(on(4), on(2, 3), on(3, 4)),
        aten.baddbmm(on(1, 2, 4), on(1, 2, 3), on(1, 3, 4)),
      ]);
      expect(products.map(({ dtype }) => dtype)).toEqual(products.map(() => "bfloat16"));
    });
  });

  test("casts a weight once, until it ends", () => {
    scope(() => {
      const [x, w] = [aten.ones([1, KILO], { device: "meta" }), leaf([KILO, KILO], "meta")];
      const before = metaBytes();
      autocast({ device: "meta" }, () => {
        noGrad(() => {
          for (let i = 0; i < 3; i++) scope(() => void aten.linear(x, w));
          expect(metaBytes() - before).toBe(2 * KILO ** 2);
        });
      });
      expect(metaBytes() - before).toBe(0);
    });
  });
});

describe("observeCalls", () => {
  test("tells of every operator that is called: its name, arguments and result", () => {
    const seen: string[] = [];
    const x = tensor([1, 2]);
    const sum = observeCalls(
      ({ operator, arguments: given, result }) => {
        expect(given[0]).toBeInstanceOf(Object);
        x.add(1); // not told of
        seen.push(`${operator} ${result}`);
      },
      () => aten.add(x.mul(x), 2).sum().item(),
    );
    expect(sum).toBe(9);
    expect(seen).toEqual([
      "aten::mul Tensor(float32 [2])",
      "aten::add Tensor(float32 [2])",
      "aten::sum Tensor(float32 [])",
    ]);
    x.mul(x);
    expect(seen).toHaveLength(3);
    const results: unknown[] = [];
    observeCalls(
      ({ operator, result }) => results.push([operator, result]),
      () => ops.fused.lerp_([x], [x], 0.5),
    );
    expect(results).toEqual([["fused::lerp_", undefined]]);
  });

  test("one within another both see, and an error ends the watch", () => {
    const x = tensor([1]);
    const counts = [0, 0];
    observeCalls(
      () => counts[0]!++,
      () => {
        expect(() =>
          observeCalls(
            () => counts[1]!++,
            () => {
              x.mul(x);
              throw new Error("enough");
            },
          ),
        ).toThrow("enough");
        x.mul(x);
      },
    );
    expect(counts).toEqual([2, 1]);
  });

  test("refuses an asynchronous function", () => {
    expect(() =>
      observeCalls(
        () => {},
        async () => {},
      ),
    ).toThrow(TypeError);
  });
});
