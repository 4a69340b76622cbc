import {
  cudaIsAvailable,
  type DType,
  getDefaultDevice,
  ops,
  scope,
  setDefaultDevice,
  type Tensor,
  type TypedArray,
  type TypedArrayOf,
  tensor,
} from "@iqvae/torch";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";

const { aten } = ops;

afterEach(() => setDefaultDevice("cpu"));

/** An array for each dtype, with the extremes that it must carry unharmed. */
const arrays: { [D in DType]: TypedArrayOf[D] } = {
  uint8: Uint8Array.of(0, 1, 255, 7, 8, 9),
  int8: Int8Array.of(-128, -1, 127, 7, 8, 9),
  int16: Int16Array.of(-32768, -1, 32767, 7, 8, 9),
  int32: Int32Array.of(-(2 ** 31), -1, 2 ** 31 - 1, 7, 8, 9),
  int64: BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n, 2n ** 53n + 1n, 7n, 8n, 9n),
  float16: Uint16Array.of(0x3c00, 0xfc00, 0x0001, 0x8000, 0x7bff, 9),
  float32: Float32Array.of(1.5, -0, Number.POSITIVE_INFINITY, 1e-45, 3.4e38, Number.NaN),
  float64: Float64Array.of(0.1, -0, Number.NEGATIVE_INFINITY, 5e-324, 1.7e308, Number.NaN),
  complex64: Float32Array.of(1, 2, 3, -4, 5, 6, 7, 8, 9, 10, 11, 12),
  complex128: Float64Array.of(1, 2, 3, -4, 5, 6, 7, 8, 9, 10, 11, 12),
  bool: Uint8Array.of(0, 1, 1, 0, 0, 1),
  bfloat16: Uint16Array.of(0x3f80, 0xff80, 0x0001, 0x8000, 0x7f7f, 9),
};
const DTYPES = Object.keys(arrays) as DType[];

describe("typed arrays in and out", () => {
  test("an array whose memory goes away while its shape is read is refused", () => {
    let reads = 0;
    let last = Number.POSITIVE_INFINITY;
    const array = new Float32Array(1 << 20);
    const shape = Object.defineProperty([1 << 20], 0, {
      get: () => {
        if (++reads === last) structuredClone(array, { transfer: [array.buffer] });
        return 1 << 20;
      },
    });
    tensor(array, { shape });
    [last, reads] = [reads, 0];
    expect(() => tensor(array, { shape })).toThrow(/the array has 0 bytes/);
  });

  test.each(DTYPES)("%s keeps every bit", (dtype) => {
    const x = tensor(arrays[dtype] as TypedArray, { dtype, shape: [2, 3] });
    expect([x.dtype, x.shape, x.strides, x.device, x.ndim, x.numel()]).toEqual([dtype, [2, 3], [3, 1], "cpu", 2, 6]);
    expect(x.read(dtype)).toEqual(arrays[dtype]);
    expect(x.toTypedArray()).toEqual(arrays[dtype]);
  });

  test.each(DTYPES)("%s is read in row-major order whatever the strides", (dtype) => {
    const x = tensor(arrays[dtype] as TypedArray, { dtype, shape: [2, 3] });
    const perElement = dtype.startsWith("complex") ? 2 : 1;
    const columns = [0, 3, 1, 4, 2, 5].flatMap((i) => Array.from({ length: perElement }, (_, k) => i * perElement + k));
    const expected = columns.map((i) => arrays[dtype][i]);
    expect(x.t().strides).toEqual([1, 3]);
    expect([...x.t().read(dtype)]).toEqual(expected);
    expect([...x.select(1, 2).read(dtype)].length).toBe(2 * perElement);
  });

  test("a conjugate that is only a flag is read as what it stands for", () => {
    const z = tensor(arrays.complex64, { dtype: "complex64" });
    expect([...z.conj().read("complex64")].slice(0, 4)).toEqual([1, -2, 3, 4]);
    expect([...z.conj().imag().read("float32")].slice(0, 2)).toEqual([-2, 4]);
  });

  test("the array is copied: later changes of either do not show in the other", () => {
    const array = Float32Array.of(1, 2);
    const x = tensor(array);
    array[0] = 9;
    expect([...x.read("float32")]).toEqual([1, 2]);
    const read = x.read("float32");
    x.add_(1);
    expect([...read]).toEqual([1, 2]);
  });

  test("windows of a buffer, Node's buffers, and bytes as booleans", () => {
    const window = new Float32Array(Float32Array.of(0, 1, 2, 3).buffer, 4, 2);
    expect([...tensor(window).read("float32")]).toEqual([1, 2]);
    expect([...tensor(Buffer.from([1, 2, 3])).read("uint8")]).toEqual([1, 2, 3]);
    expect([...tensor(Uint8Array.of(0, 2, 255), { dtype: "bool" }).read("bool")]).toEqual([0, 1, 1]);
  });

  test("what does not belong together is refused", () => {
    expect(() => tensor(Int32Array.of(1, 2), { dtype: "float32" })).toThrow(
      new TypeError(
        'tensor() got a Int32Array for float32, which travels in a Float32Array; pass one, or name the dtype of the array and convert: x.to("float32")',
      ),
    );
    expect(() => tensor(Uint16Array.of(1))).toThrow(
      'tensor() cannot tell the dtype of a Uint16Array; name it, e.g. { dtype: "bfloat16" } for bits in a Uint16Array',
    );
    expect(() => tensor(Float32Array.of(1, 2, 3), { shape: [2, 2] })).toThrow(
      new TypeError("tensor() got 3 numbers for the float32 shape [2, 2], which takes 4"),
    );
    expect(() => tensor(Float32Array.of(1), { shape: [2 ** 31, 2 ** 31] })).toThrow("tensor() got 1 numbers for");
    for (const shape of [[-1, -1], [0.5, 2], [Number.NaN]])
      expect(() => tensor(Float32Array.of(1), { shape })).toThrow(
        new TypeError(`tensor() got the shape [${shape.join(", ")}], which is not a list of sizes`),
      );
    expect(() => tensor(Float32Array.of(1)).read("float64")).toThrow(
      new TypeError('read("float64") of a float32 tensor; convert it first: x.to("float64")'),
    );
  });

  test("any shape and permutation reads as plain index arithmetic says", async () => {
    const shapes = fc.array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 4 });
    const arbitrary = shapes.chain((shape) =>
      fc.record({
        shape: fc.constant(shape),
        order: fc.shuffledSubarray([...shape.keys()], { minLength: shape.length }),
      }),
    );
    await fc.assert(
      fc.property(arbitrary, ({ shape, order }) =>
        scope(() => {
          const count = shape.reduce((a, b) => a * b, 1);
          const x = tensor(
            Float32Array.from({ length: count }, (_, i) => i),
            { shape },
          );
          const strides = shape.map((_, d) => shape.slice(d + 1).reduce((a, b) => a * b, 1));
          const sizes = order.map((d) => shape[d]!);
          const expected = Array.from({ length: count }, (_, position) => {
            let rest = position;
            return [...sizes.keys()].reverse().reduce((index, d) => {
              const at = rest % sizes[d]!;
              rest = Math.floor(rest / sizes[d]!);
              return index + at * strides[order[d]!]!;
            }, 0);
          });
          expect(x.permute(order).shape).toEqual(sizes);
          expect([...x.permute(order).read("float32")]).toEqual(expected);
        }),
      ),
    );
  });
});

describe("nested numbers", () => {
  test("shape, dtype and values", () => {
    expect(
      `${tensor([
        [1, 2],
        [3, 4],
      ])}`,
    ).toBe("Tensor(float32 [2, 2])");
    expect(tensor(3).shape).toEqual([]);
    expect(tensor([]).shape).toEqual([0]);
    expect(tensor([[], []]).shape).toEqual([2, 0]);
    expect([...tensor([[1, -2]], { dtype: "int64" }).read("int64")]).toEqual([1n, -2n]);
    expect([...tensor([0, 256, -1], { dtype: "bool" }).read("bool")]).toEqual([0, 1, 1]);
    expect(tensor([1], { requiresGrad: true }).requiresGrad).toBe(true);
  });

  test("ragged rows are refused", () => {
    expect(() => tensor([[1, 2], [3]])).toThrow(
      new TypeError("tensor() got ragged rows: 1 entries at depth 1, where the first row has 2"),
    );
    expect(() => tensor([[1], 2])).toThrow(new TypeError("tensor() got ragged rows: a number at depth 1 of 2"));
    expect(() => tensor([1, [2]])).toThrow("tensor() got ragged rows: 1 entries at depth 1");
  });

  test.each<[unknown, string]>([
    [["a"], 'the string "a" at depth 1'],
    ["a", 'the string "a" at depth 0'],
    [[[1], ["b"]], 'the string "b" at depth 2'],
    [[1n], 'the bigint "1" at depth 1'],
    [[true], 'the boolean "true" at depth 1'],
    [[null], "null at depth 1"],
    [null, "null at depth 0"],
    [[1, undefined], "undefined at depth 1"],
    [[{}], "[object Object] at depth 1"],
    [[tensor([1])], "Tensor(float32 [1]) at depth 1"],
  ])("what is no number is named: %o", (data, named) => {
    expect(() => tensor(data as number)).toThrow(`tensor() takes numbers and arrays of them, but got ${named}`);
  });

  test.each<[number, DType]>([
    [300, "uint8"],
    [-1, "uint8"],
    [1.5, "int32"],
    [2 ** 31, "int32"],
    [Number.NaN, "int64"],
    [2 ** 63, "int64"],
  ])("%d does not fit %s", (value, dtype) => {
    expect(() => tensor([value], { dtype })).toThrow(
      new TypeError(`tensor() got ${value}, which does not fit ${dtype}`),
    );
  });

  test("bits are not made from numbers", () => {
    expect(() => tensor([1], { dtype: "bfloat16" })).toThrow(
      'tensor() makes no bfloat16 from plain numbers; make float32 and convert: x.to("bfloat16")',
    );
    expect([...tensor([1]).to("bfloat16").read("bfloat16")]).toEqual([0x3f80]);
  });
});

describe("memory", () => {
  test.each<[string, (x: Tensor) => Tensor]>([
    ["reshape", (x) => x.reshape([6])],
    ["t", (x) => x.t()],
    ["slice", (x) => x.slice(1, 1, 3)],
    ["select", (x) => x.select(0, 1)],
    ["detach", (x) => x.detach()],
    ["unsqueeze", (x) => x.unsqueeze(0)],
    ["split", (x) => x.split(1, 1)[2]!],
    ["view", (x) => x.view("int32")],
  ])("a view by %s shares it, a clone does not", (_, view) => {
    const x = aten.ones([2, 3]);
    view(x).clone().zero_();
    expect(x.sum().item()).toBe(6);
    const count = view(x).numel();
    view(x).zero_();
    expect(x.sum().item()).toBe(6 - count);
  });

  test("in-place operators return their own object, also among several results", () => {
    const x = tensor([1, 2]);
    expect(x.add_(1)).toBe(x);
    expect(x.copy_(tensor([3, 4]))).toBe(x);
    expect(aten.relu_(x)).toBe(x);
    const out = aten.empty([2]);
    expect(aten.add(x, x, { out })).toBe(out);
    const [values, indices] = [aten.empty([1]), aten.empty([1], { dtype: "int64" })];
    const found = x.reshape([1, 2]).max(1, { max: values, max_values: indices });
    expect(found[0]).toBe(values);
    expect(found[1]).toBe(indices);
    expect([...values.read("float32"), Number(indices.item())]).toEqual([4, 1]);
  });

  test("channels_last is a matter of strides only", () => {
    const x = aten.arange(24, { dtype: "float32" }).reshape([1, 2, 3, 4]);
    const last = x.contiguous({ memory_format: "channels_last" });
    expect(last.strides).toEqual([24, 1, 8, 2]);
    expect([...last.read("float32")]).toEqual([...x.read("float32")]);
    expect(aten.empty([1, 2, 3, 4], { memory_format: "channels_last" }).strides).toEqual([24, 1, 8, 2]);
    expect(aten.empty_like(last).strides).toEqual([24, 1, 8, 2]);
    expect(last.relu().strides).toEqual([24, 1, 8, 2]);
  });

  test("empty tensors go everywhere", () => {
    const x = aten.zeros([0, 3]);
    expect([x.numel(), x.shape, [...x.read("float32")]]).toEqual([0, [0, 3], []]);
    expect(x.sum().item()).toBe(0);
    expect(aten.cat([x, aten.ones([1, 3])]).shape).toEqual([1, 3]);
    expect(x.mm(aten.ones([3, 2])).shape).toEqual([0, 2]);
    expect(tensor(new Float32Array(), { shape: [2, 0, 3] }).shape).toEqual([2, 0, 3]);
    const leaf = aten.zeros([0, 3]).requires_grad_(true);
    leaf.mul(2).sum().backward();
    expect(leaf.grad?.shape).toEqual([0, 3]);
  });
});

describe("item", () => {
  test("one element as a number", () => {
    expect(tensor([[2.5]]).item()).toBe(2.5);
    expect(tensor([7], { dtype: "int64" }).item()).toBe(7);
    expect(tensor([1]).gt(0).item()).toBe(1);
    expect(tensor([1]).to("bfloat16").item()).toBe(1);
  });

  test("more than one is refused", () => {
    expect(() => tensor([1, 2]).item()).toThrow(/2 elements cannot be converted to Scalar/);
  });

  test("an integer that a number of JavaScript cannot hold is refused; read() gives it", () => {
    for (const whole of [2n ** 53n, -(2n ** 53n), 0n])
      expect(tensor(BigInt64Array.of(whole)).item()).toBe(Number(whole));
    for (const whole of [2n ** 53n + 1n, -(2n ** 53n) - 1n, 2n ** 63n - 1n, -(2n ** 63n)]) {
      const x = tensor(BigInt64Array.of(whole));
      expect(() => x.item()).toThrow(`item() is ${whole}`);
      expect(x.read("int64")[0]).toBe(whole);
    }
  });

  test("what has no memory to read says so in one line", () => {
    const x = aten.ones([1], { device: "meta" });
    expect(() => x.nonzero()).toThrow(
      // In the words of 1.13, or of 2.x.
      /'aten::nonzero' with arguments from the 'Meta' backend[^\n]*$|aten::nonzero: attempted to run this operator with Meta tensors[^\n]*$/m,
    );
    for (const read of [() => x.read("float32"), () => x.toTypedArray()]) expect(read).toThrow(/^[^\n]*[Mm]eta[^\n]*$/);
    const sparse = tensor([[0, 2]]).to_sparse();
    expect(() => sparse.read("float32")).toThrow(/^[^\n]*Sparse[^\n]*x.to_dense\(\)$/);
    expect([...sparse.to_dense().read("float32")]).toEqual([0, 2]);
  });
});

describe("devices", () => {
  test("factories and tensor() follow the default, which can be any that is there", () => {
    expect(getDefaultDevice()).toBe("cpu");
    setDefaultDevice("meta");
    expect([aten.zeros([2]).device, aten.arange(3).device, aten.empty([1]).device]).toEqual(["meta", "meta", "meta"]);
    expect(aten.zeros([2], { device: null }).device).toBe("meta");
    expect(aten.zeros([2], { device: "cpu" }).device).toBe("cpu");
    expect(tensor([1], { device: "cpu" }).device).toBe("cpu");
    setDefaultDevice("cpu");
    expect(aten.zeros([2]).device).toBe("cpu");
    expect(aten.zeros_like(aten.zeros([2], { device: "meta" })).device).toBe("meta");
  });

  test("one that nobody knows or that is not there is refused, and the default stays", () => {
    expect(() => setDefaultDevice("gpu")).toThrow(/device type at start of device string: gpu/);
    expect(() => setDefaultDevice("cpu:x")).toThrow(/[Ii]nvalid device string/);
    expect(getDefaultDevice()).toBe("cpu");
    expect(() => tensor([1], { device: "nowhere" })).toThrow(/device string: nowhere/);
  });

  test("to() moves by an option", () => {
    const x: Tensor = tensor([1]);
    expect(x.to({ device: "meta" }).device).toBe("meta");
    expect(x.to({ device: "cpu", dtype: "float64" }).dtype).toBe("float64");
  });
});

describe("what PyTorch has by names of its own", () => {
  const x = tensor([
    [1, 2.5, -3],
    [0, 5, 6],
  ]);

  test("dtypes", () => {
    const dtypes = {
      float: "float32",
      double: "float64",
      half: "float16",
      bfloat16: "bfloat16",
      int: "int32",
      long: "int64",
      bool: "bool",
    } as const;
    for (const [name, dtype] of Object.entries(dtypes)) expect(x[name as keyof typeof dtypes]().dtype).toBe(dtype);
    expect(x.long().tolist()).toEqual([
      [1, 2, -3],
      [0, 5, 6],
    ]);
    expect(x.bool().tolist()).toEqual([
      [true, true, true],
      [false, true, true],
    ]);
    expect(x.cpu().equal(x)).toBe(true);
    if (!cudaIsAvailable()) expect(() => x.cuda()).toThrow(/cuda/i);
  });

  test("sizes and transposes", () => {
    expect([x.dim(), x.numel(), x.ndim]).toEqual([2, 6, 2]);
    expect(x.T.tolist()).toEqual([
      [1, 0],
      [2.5, 5],
      [-3, 6],
    ]);
    const batch = ops.aten.randn([2, 3, 4]);
    expect(batch.mT.shape).toEqual([2, 4, 3]);
    expect(batch.mT.equal(batch.transpose(1, 2))).toBe(true);
    batch.mT.select(0, 1).fill_(7); // a view
    expect(batch.select(0, 1).eq(7).all().item()).toBe(1);
  });
});
