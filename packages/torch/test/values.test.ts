import { inspect } from "node:util";
import { liveTensors, ops, scope, type Tensor, tensor } from "@iqvae/torch";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

const { aten } = ops;

describe("tolist", () => {
  test("nests numbers and booleans as the tensor does", () => {
    expect(
      tensor([
        [1, 2, 3],
        [4, 5, 6],
      ])
        .t()
        .tolist(),
    ).toEqual([
      [1, 4],
      [2, 5],
      [3, 6],
    ]);
    expect(tensor(2.5).tolist()).toBe(2.5);
    expect(aten.zeros([2, 0]).tolist()).toEqual([[], []]);
    expect(tensor([7, -8], { dtype: "int64" }).tolist()).toEqual([7, -8]);
    expect(tensor([0.5, 2]).gt(1).tolist()).toEqual([false, true]);
    for (const dtype of ["bfloat16", "float16"] as const)
      expect(tensor([0.5, -2]).to(dtype).tolist()).toEqual([0.5, -2]);
  });

  test("and back gives the same tensor", () => {
    const arrays = fc
      .integer({ min: 1, max: 4 })
      .chain((width) =>
        fc.array(fc.array(fc.float({ noNaN: true }), { minLength: width, maxLength: width }), { minLength: 1 }),
      );
    fc.assert(
      fc.property(arrays, (rows) => {
        expect(tensor(rows).tolist()).toEqual(rows);
      }),
    );
  });

  test("refuses what numbers cannot hold", () => {
    const large = tensor(BigInt64Array.of(2n ** 60n));
    expect(() => large.tolist()).toThrow(/1152921504606846976.*read\("int64"\)/);
    expect(() => aten.complex(tensor([1]), tensor([2])).tolist()).toThrow(/complex64.*view_as_real/);
  });
});

describe("console.log", () => {
  test.each<[string, () => unknown, string]>([
    ["a number", () => tensor(3), "Tensor(float32 []) 3"],
    ["whole numbers", () => tensor([1, -20, 3]), "Tensor(float32 [3]) [  1, -20,   3]"],
    ["fractions", () => tensor([0.5, 100 / 3]), "Tensor(float32 [2]) [ 0.5000, 33.3333]"],
    [
      "sizes far apart",
      () => tensor([1e-5, 2.5]),
      "Tensor(float32 [2]) [1.0000e-5,  2.5000e+0]".replace("5,  2", "5, 2"),
    ],
    ["large whole numbers", () => tensor([1, 123456]), "Tensor(float32 [2]) [     1, 123456]"],
    [
      "no numbers",
      () => tensor([Number.NaN, Number.NEGATIVE_INFINITY, 1]),
      "Tensor(float32 [3]) [      NaN, -Infinity,         1]",
    ],
    ["integers", () => tensor([1, 2], { dtype: "int64" }), "Tensor(int64 [2]) [1, 2]"],
    ["booleans", () => tensor([1, 2]).gt(1), "Tensor(bool [2]) [false,  true]"],
    ["half precision", () => tensor([1.5]).to("bfloat16"), "Tensor(bfloat16 [1]) [1.5000]"],
    ["complex numbers", () => aten.complex(tensor([1]), tensor([-2])), "Tensor(complex64 [1]) [1.0000-2.0000i]"],
    ["nothing", () => aten.zeros([0, 3]), "Tensor(float32 [0, 3])\n[]"],
    [
      "a matrix",
      () =>
        tensor([
          [1, 2],
          [3, 4],
        ]),
      "Tensor(float32 [2, 2])\n[[1, 2],\n [3, 4]]",
    ],
    ["planes", () => aten.ones([2, 1, 2]), "Tensor(float32 [2, 1, 2])\n[[[1, 1]],\n\n [[1, 1]]]"],
    ["a parameter", () => tensor([1], { requiresGrad: true }), "Tensor(float32 [1], requiresGrad) [1]"],
    [
      "within others",
      () => ({ x: tensor([1]), y: aten.zeros([65]) }),
      "{ x: Tensor(float32 [1]) [1], y: Tensor(float32 [65]) }",
    ],
    ["what has no rows", () => tensor([[1]]).to_sparse(), "Tensor(float32 [1, 1])"],
    ["what has no values", () => aten.ones([2], { device: "meta" }), "Tensor(float32 [2])"],
  ])("shows %s", (_, make, text) => {
    expect(inspect(make())).toBe(text);
  });

  test("shows what was released, and not deep down", () => {
    const x = tensor([1]);
    expect(inspect({ x }, { depth: 0 })).toBe("{ x: [Tensor] }".replace("[Tensor]", "Tensor(float32 [1])"));
    x.dispose();
    expect(inspect(x)).toBe("Tensor(released)");
  });

  test("shows the corners of large tensors, long rows in lines, and leaves no tensor behind", () => {
    const large: Tensor = aten.arange(2000).view([50, 40]);
    const before = liveTensors();
    const text = inspect(large);
    expect(liveTensors()).toBe(before);
    expect(text.split("\n").slice(1)).toEqual([
      "[[   0,    1,    2, …,   37,   38,   39],",
      " [  40,   41,   42, …,   77,   78,   79],",
      " [  80,   81,   82, …,  117,  118,  119],",
      " …,",
      " [1880, 1881, 1882, …, 1917, 1918, 1919],",
      " [1920, 1921, 1922, …, 1957, 1958, 1959],",
      " [1960, 1961, 1962, …, 1997, 1998, 1999]]",
    ]);
    const lines = inspect(aten.arange(40)).split("\n");
    expect(lines).toHaveLength(2);
    expect(lines.every((line) => line.length <= 100)).toBe(true);
    expect(inspect(aten.zeros([1_000_000]))).toBe("Tensor(float32 [1000000]) [0, 0, 0, …, 0, 0, 0]");
  });

  test("takes no memory of the whole for the corners", () => {
    // Two numbers, seen as a billion.
    expect(inspect(tensor([1]).expand([1_000_000_000]))).toContain("[1, 1, 1, …, 1, 1, 1]");
  });
});

describe("to", () => {
  test("takes a device, a dtype, both, or options", () => {
    scope(() => {
      const x = tensor([
        [1, 2],
        [3, 4],
      ]);
      const kinds = [x.to("meta"), x.to("cpu"), x.to("int64"), x.to("cpu", "int64"), x.to("cpu", { dtype: "bool" })];
      expect(kinds.map(({ device, dtype }) => [device, dtype])).toEqual([
        ["meta", "float32"],
        ["cpu", "float32"],
        ["cpu", "int64"],
        ["cpu", "int64"],
        ["cpu", "bool"],
      ]);
      x.to("cpu", { copy: true }).fill_(9);
      expect(x.tolist()).toEqual([
        [1, 2],
        [3, 4],
      ]);
      expect(x.to(tensor([1], { dtype: "int32" })).dtype).toBe("int32");
      expect(() => x.to("flaot32" as "float32")).toThrow(/flaot32.*float32/);
      expect(() => x.to("cuda:99")).toThrow(/cuda|CUDA/);
    });
  });
});
