import { readdirSync, readFileSync } from "node:fs";
import { callOperator, Generator, hasOperator, OperatorError, ops, Tensor, tensor, torchVersion } from "@iqvae/torch";
import { describe, expect, test } from "vitest";

const { aten } = ops;

const failure = (body: () => unknown): OperatorError => {
  try {
    body();
  } catch (error) {
    expect(error).toBeInstanceOf(OperatorError);
    expect((error as Error).message).not.toMatch(/Exception raised from|frame #|\.cpp:|\.so\b/); // no C++ frames
    return error as OperatorError;
  }
  return expect.fail("no error was thrown");
};

/** Beside the types: what a caller without them may pass. */
const untyped = (name: string, ...args: unknown[]) => callOperator(`aten::${name}`, ...args) as Tensor;

describe("arguments", () => {
  test("stand in order, in the last object, or both", () => {
    const x = tensor([
      [1, 2],
      [3, 4],
    ]);
    const results = [x.sum([0], true), x.sum([0], { keepdim: true }), untyped("sum", x, { dim: [0], keepdim: true })];
    for (const sum of results)
      expect([sum.shape, [...sum.read("float32")]]).toEqual([
        [1, 2],
        [4, 6],
      ]);
    expect(x.sum([1], { dtype: "float64" }).dtype).toBe("float64");
  });

  test("a single number stands for a list of fixed length", () => {
    const x = aten.ones([1, 1, 4, 4]);
    expect(aten.avg_pool2d(x, 2).shape).toEqual(aten.avg_pool2d(x, [2, 2]).shape);
    expect(x.sum(3).shape).toEqual([1, 1, 4]);
  });

  test("null and undefined are what is not given", () => {
    const x = tensor([1, 2, 3]);
    expect(x.clamp(null, 2).read("float32")).toEqual(Float32Array.of(1, 2, 2));
    expect(x.clamp({ min: 2 }).read("float32")).toEqual(Float32Array.of(2, 2, 3));
    expect(untyped("sum", x, { dtype: undefined }).item()).toBe(6);
    expect(x.sum(null, true).shape).toEqual([1]);
  });

  test("whole numbers are integers, others are fractions, as PyTorch takes them", () => {
    const n = tensor([7], { dtype: "int64" });
    expect(n.mul(2).dtype).toBe("int64");
    expect(n.mul(0.5).dtype).toBe("float32");
    expect(n.mul(2.5).item()).toBe(17.5);
    expect(n.add(true).item()).toBe(8);
    expect(n.div(2).item()).toBe(3.5);
    expect(aten.full([1], 3).dtype).toBe("int64");
    expect(aten.full([1], 3.5).dtype).toBe("float32");
    expect(1 / aten.full([1], -0, { dtype: "float32" }).item()).toBe(Number.NEGATIVE_INFINITY);
    expect(tensor([1]).mul(1e300).item()).toBe(Number.POSITIVE_INFINITY);
    expect(tensor([1]).mul(Number.NaN).item()).toBeNaN();
    expect(tensor([1]).add(Number.POSITIVE_INFINITY).item()).toBe(Number.POSITIVE_INFINITY);
  });

  test("bigints are integers of all 64 bits", () => {
    const n = tensor(BigInt64Array.of(1n));
    expect([...n.add(2n ** 62n).read("int64")]).toEqual([2n ** 62n + 1n]);
    expect(n.reshape([1n, 1]).shape).toEqual([1, 1]);
    expect(n.sum(0n).item()).toBe(1);
    expect(failure(() => n.add(2n ** 64n)).message).toContain("does not fit 64 bits");
  });

  test("an integer that 64 bits cannot hold is refused, not wrapped", () => {
    expect(failure(() => aten.zeros([1e300])).message).toContain("size must be an integer");
    expect(failure(() => tensor([1]).sum(Number.MAX_VALUE)).message).toContain("must be");
    expect(failure(() => untyped("zeros", [Number.POSITIVE_INFINITY])).message).toContain("needs 'size' to be ");
  });

  test("lists of tensors may hold gaps where the schema says so", () => {
    const x = tensor([
      [1, 2],
      [3, 4],
    ]);
    expect([...x.index([null, tensor([1], { dtype: "int64" })]).read("float32")]).toEqual([2, 4]);
    expect(failure(() => untyped("cat", [x, null])).message).toContain("needs 'tensors' to be Tensor[]");
  });

  test("lists of scalars, fractions, booleans, texts", () => {
    expect(aten.upsample_nearest2d(aten.ones([1, 1, 2, 2]), null, [1.5, 2]).shape).toEqual([1, 1, 3, 4]);
    expect(aten.einsum("i,i->", [tensor([1, 2]), tensor([3, 4])]).item()).toBe(11);
    expect(tensor([-1]).gelu({ approximate: "tanh" }).item()).toBeCloseTo(-0.1588, 3);
    expect(
      aten
        .convolution_backward(
          aten.ones([1, 1, 1, 1]),
          aten.ones([1, 1, 2, 2]),
          aten.ones([1, 1, 2, 2]),
          null,
          [1, 1],
          [0, 0],
          [1, 1],
          false,
          [0, 0],
          1,
          [true, false, false],
        )
        .map((x) => x?.shape),
    ).toEqual([[1, 1, 2, 2], undefined, undefined]);
  });

  test("the call remembered for some kinds of arguments is not taken for others", () => {
    const x = tensor([4]);
    expect(untyped("softmax", x, 0).item()).toBe(1);
    expect(failure(() => untyped("softmax", x, 0.5)).message).toContain("needs 'dim' to be int");
    for (let round = 0; round < 3; round++) {
      expect(x.mul(2).item()).toBe(8);
      expect(x.mul(0.5).item()).toBe(2);
      expect(x.mul(x).item()).toBe(16);
      expect(x.mul(true).item()).toBe(4);
      expect(x.div(3, { rounding_mode: "floor" }).item()).toBe(1);
      expect(x.div(3).item()).toBeCloseTo(4 / 3);
      expect(aten.pow(2, x).item()).toBe(16);
      expect(aten.pow(x, 2).item()).toBe(16);
    }
  });
});

describe("results", () => {
  test("several come as a tuple, undefined ones as null, lists as arrays", () => {
    const [values, indices] = tensor([[3, 1, 2]]).sort(-1);
    expect([...values.read("float32"), ...indices.read("int64")]).toEqual([1, 2, 3, 1n, 2n, 0n]);
    expect(
      tensor([1, 2, 3])
        .split(1)
        .map((x) => x.item()),
    ).toEqual([1, 2, 3]);
    expect(aten.native_layer_norm(tensor([[1, 2]]), [2], null, null, 1e-5).map((x) => x.shape)).toEqual([
      [1, 2],
      [1, 1],
      [1, 1],
    ]);
    const [counts, edges] = aten.histogramdd(tensor([[0], [1], [3]]), [2]);
    expect([counts, ...edges].map((x) => x.tolist())).toEqual([
      [2, 1],
      [0, 1.5, 3],
    ]);
  });

  test("plain values come as JavaScript's", () => {
    expect(tensor([[1], [2]]).size(0)).toBe(2);
    expect(tensor([1]).is_floating_point()).toBe(true);
    expect(aten.result_type(tensor([1]), tensor([1], { dtype: "int64" }))).toBeDefined();
    expect(tensor([1]).equal(tensor([1]))).toBe(true);
  });

  test("operators without a result give undefined", () => {
    const lists = [tensor([1]), tensor([2])];
    expect(aten._foreach_mul_(lists, 3)).toBeUndefined();
    expect(lists.map((x) => x.item())).toEqual([3, 6]);
  });
});

describe("errors", () => {
  test("an operator that fails: its schema, what was passed, libtorch's reason", () => {
    const error = failure(() => aten.ones([2, 3]).mm(aten.ones([2, 3])));
    expect(error.name).toBe("OperatorError");
    expect(error.operator).toBe("aten::mm");
    expect(error.schema).toBe("aten::mm(Tensor self, Tensor mat2) -> Tensor");
    expect(error.passed).toBe("(Tensor(float32 [2, 3]), Tensor(float32 [2, 3]))");
    // Newer libraries name the operator in their reason once more.
    expect(error.message.replace("aten::mm: mm:", "aten::mm:")).toBe(
      [
        "aten::mm: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)",
        "  schema: aten::mm(Tensor self, Tensor mat2) -> Tensor",
        "  passed: (Tensor(float32 [2, 3]), Tensor(float32 [2, 3]))",
      ].join("\n"),
    );
  });

  test("arguments that fit no overload: each overload and what it misses", () => {
    const error = failure(() => untyped("add", tensor([1]), "one"));
    expect(error.message).toContain('passed: (Tensor(float32 [1]), "one")');
    expect(error.message).toContain("no overload fits the arguments:");
    expect(error.message).toMatch(/aten::add\.Tensor\(.*\n {6}needs 'other' to be Tensor/);
    expect(error.message).toMatch(/aten::add\.Scalar\(.*\n {6}needs 'other' to be (Scalar|number)/);
  });

  test.each<[string, () => unknown, string]>([
    ["a missing argument", () => untyped("mm", tensor([[1]])), "needs 'mat2' (Tensor)"],
    ["too many", () => untyped("mm", tensor([[1]]), tensor([[1]]), 3), "takes at most 2 positional arguments"],
    ["sizes one by one", () => untyped("view", tensor([1, 2]), 2, -1), "[]: pass a list, [2, -1]\n"],
    ["sizes of a maker", () => untyped("zeros", 2, 3, { dtype: "int64" }), "[]: pass a list, [2, 3]\n"],
    ["a single size", () => untyped("reshape", tensor([1]), 1), "[]: pass a list, [1]\n"],
    ["a tensor for a list of them", () => untyped("stack", tensor([1])), "pass a list, [Tensor(float32 [1])]\n"],
    ["an unknown name", () => untyped("relu", tensor([1]), { inplace: true }), "has no argument 'inplace'"],
    ["a name twice", () => untyped("softmax", tensor([1]), 0, { dim: 0 }), "got 'dim' twice"],
    ["a wrong dtype", () => untyped("softmax", tensor([1]), 0, { dtype: "float" }), "needs 'dtype' to be"],
    ["a wrong device", () => untyped("zeros", [1], { device: "gpu" }), "needs 'device' to be"],
    ["a fraction for an integer", () => untyped("softmax", tensor([1]), 0.5), "needs 'dim' to be int"],
    ["a kind that has no JavaScript form", () => untyped("set_", tensor([1]), {}, 0, [1]), "needs 'source' to be"],
    ["a list within which one is wrong", () => untyped("reshape", tensor([1]), [1, "x"]), "needs 'shape' to be"],
    ["a typed array for a list", () => untyped("reshape", tensor([1]), Int32Array.of(1)), "needs 'shape' to be"],
    ["an array for a tensor", () => untyped("relu", [1, 2]), "needs 'self' to be Tensor"],
  ])("%s", (_, call, reason) => {
    expect(failure(call).message).toContain(reason);
  });

  test("values of all kinds are shown, long ones cut", () => {
    const generator = new Generator(1);
    const error = failure(() =>
      untyped("mm", [1, 2, 3, 4, 5, 6, 7, 8, 9], null, { generator, at: [new Map()], on: true }),
    );
    expect(error.passed).toBe(
      "([1, 2, 3, 4, 5, 6, 7, 8, …], null, { generator: Generator(cpu), at: [Map], on: true })",
    );
  });

  test("an operator that does not exist is told with the version", () => {
    expect(hasOperator("aten::mull")).toBe(false);
    expect(() => callOperator("aten::mull", 1)).toThrow(
      new Error(`libtorch ${torchVersion()} has no operator aten::mull`),
    );
    expect((aten as unknown as Record<string, unknown>).mull).toBeUndefined();
    expect((ops as unknown as Record<string, Record<string, unknown>>).nothing?.add).toBeUndefined();
  });

  test("one overload can be named, and then only it is tried", () => {
    expect(aten.add.Scalar(tensor([1]), 2).item()).toBe(3);
    const error = failure(() =>
      (aten.add.Scalar as unknown as (...args: unknown[]) => Tensor)(tensor([1]), tensor([2])),
    );
    expect(error.message).toContain("no overload fits the arguments:\n    aten::add.Scalar(");
    expect(error.schema).toMatch(/^aten::add\.Scalar\(/);
  });

  test("a number is a list where a schema says how long, and nowhere else", () => {
    expect(aten.ones([2, 4]).sum(1).tolist()).toEqual([4, 4]);
    // Of its overloads, the one for a list of places comes first.
    expect(
      tensor([1, 2, 3, 4])
        .tensor_split(2)
        .map((part) => part.tolist()),
    ).toEqual([
      [1, 2],
      [3, 4],
    ]);
  });

  test("operators of JavaScript say which methods there are; text has the shape", () => {
    const x = tensor([1, 2]) as unknown as number;
    for (const use of [() => x * 2, () => 1 - x, () => -x, () => x < 3, () => Math.max(x, 0), () => Number(x)])
      expect(use).toThrow(/Tensor\(float32 \[2\]\) is no number: .* x\.mul\(2\) or x\.lt\(y\), .* x\.item\(\)/);
    expect(`${x}`).toBe("Tensor(float32 [2])");
  });

  test("an error leaves nothing behind: the next call works", () => {
    for (let i = 0; i < 3; i++) {
      failure(() => aten.ones([2]).reshape([3]));
      expect(aten.ones([4]).reshape([2, 2]).shape).toEqual([2, 2]);
    }
  });

  test("a tensor whose place is not there is told by index, and every method of it throws", () => {
    const forged = Object.create(Tensor.prototype) as Tensor;
    expect(() => forged.add(1)).toThrow(TypeError);
    expect(() => forged.shape).toThrow(TypeError);
  });
});

test("no whole number is read by what Deno takes texts and `undefined` for 0 by: a missing tensor would be the tensor 0", () => {
  const native = new URL("../native/", import.meta.url);
  const sources = readdirSync(native, { recursive: true, encoding: "utf8" }).filter((file) => /\.(cc|h)$/.test(file));
  const reading = sources.filter((file) =>
    /napi_get_value_u?int32\(/.test(readFileSync(new URL(file, native), "utf8")),
  );
  expect([sources.includes("state.h"), reading]).toEqual([true, []]);
});
