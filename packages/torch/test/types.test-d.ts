// Never run: that this file compiles is the test. Each @ts-expect-error fails the compilation when its line is accepted.
import {
  autocast,
  type DType,
  Generator,
  grad,
  ops,
  readSafetensors,
  scope,
  type Tensor,
  type TypedArrayOf,
  tensor,
  unscoped,
  writeSafetensors,
} from "@iqvae/torch";

const { aten } = ops;
declare const x: Tensor;
declare const maybe: Tensor | undefined;

/** Compiles when the type of `value` is exactly `T`. */
function exactly<T>() {
  return <U>(_value: U, ..._same: [T] extends [U] ? ([U] extends [T] ? [] : [never]) : [never]): void => undefined;
}

export function right(): void {
  exactly<Tensor>()(aten.conv2d(x, x, null, { stride: [2, 2], padding: 1 }));
  exactly<Tensor>()(aten.conv2d(x, x, x, 2, [1, 1], 1, 4));
  exactly<Tensor>()(x.mul(2).add(x, { alpha: 0.5 }).sum([1], { keepdim: true }));
  exactly<Tensor>()(x.add(3n).reshape([2n, -1]));
  exactly<[Tensor, Tensor]>()(x.topk(3, -1));
  exactly<Tensor[]>()(x.split(2, 1));
  exactly<boolean>()(x.equal(x));
  exactly<number>()(x.size(0));
  exactly<Tensor>()(x.index([null, x]));
  exactly<Tensor>()(aten.randn([2, 3], { dtype: "bfloat16", device: "cpu", generator: new Generator(1) }));
  exactly<Tensor>()(aten.add.Scalar(x, 2));
  exactly<Tensor>()(x.to("cuda"));
  exactly<Tensor>()(x.to(x.device, { dtype: "bfloat16" }));
  exactly<Tensor>()(x.div(x, { rounding_mode: "floor" }));
  exactly<Float32Array>()(x.read("float32"));
  exactly<BigInt64Array>()(x.read("int64"));
  exactly<TypedArrayOf[DType]>()(x.toTypedArray());
  exactly<{ loss: Tensor; n: number }>()(scope(() => ({ loss: x, n: 1 })));
  exactly<Tensor>()(unscoped(() => x));
  exactly<(Tensor | null)[]>()(grad([x], [x]));
  exactly<Map<string, Tensor>>()(readSafetensors("a", { names: ["x"] }).tensors);
}

export function wrong(): void {
  // @ts-expect-error a number is no tensor
  aten.mm(x, 2);
  // @ts-expect-error the second matrix is missing
  aten.mm(x);
  // @ts-expect-error one argument too many
  aten.relu(x, 1);
  // @ts-expect-error an option that the operator does not have
  aten.conv2d(x, x, null, { strides: [1, 1] });
  // @ts-expect-error a text for numbers
  aten.conv2d(x, x, null, { stride: "2" });
  // @ts-expect-error a list where one number belongs
  x.softmax([1]);
  // @ts-expect-error a method that libtorch does not have
  x.multiplyy(2);
  // @ts-expect-error a dtype by another name
  x.to("float");
  // @ts-expect-error a memory format by another name
  x.contiguous({ memory_format: "nhwc" });
  // @ts-expect-error a keyword-only argument in order
  x.add(x, 0.5);
  // @ts-expect-error a boolean for a size
  aten.zeros([true]);
  // @ts-expect-error nested arrays are no shape
  x.reshape([[2, 3]]);
  // @ts-expect-error a gap where the schema allows none
  aten.cat([x, null]);
  // @ts-expect-error a seed is no generator
  aten.randn([2], { generator: 1 });
  // @ts-expect-error a number is no option
  x.sum([1], { keepdim: 1 });
  // @ts-expect-error what may be missing must be looked at first
  x.add(maybe);
  // @ts-expect-error a tensor is read by its dtype's name
  x.read(6);
  // @ts-expect-error the array of float32 is no Float64Array
  x.read("float32") satisfies Float64Array;
  // @ts-expect-error a tensor is no number
  x.item() satisfies Tensor;
  // @ts-expect-error texts make no tensor
  tensor(["a"]);
  // @ts-expect-error a dtype that does not exist
  tensor([1], { dtype: "int" });
  // @ts-expect-error shapes cannot be assigned
  x.shape = [1];
  // @ts-expect-error integers are no autocast dtype
  autocast({ dtype: "int64" }, () => x);
  // @ts-expect-error metadata are texts
  writeSafetensors("a", new Map([["x", x]]), { step: 1 });
  // @ts-expect-error an overload that does not exist
  aten.add.Nothing(x, 2);
  // @ts-expect-error two results are no tensor
  aten.sort(x) satisfies Tensor;
}
