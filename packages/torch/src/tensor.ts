import {
  type Device,
  DTYPE_CODES,
  type DType,
  dtypeName,
  dtypeOfArray,
  type TypedArray,
  type TypedArrayOf,
  typedArrayFor,
} from "./dtype.ts";
import type { TensorMethods } from "./generated/ops.ts";
import { ANYTHING, expectOptions, FLAG, kindOf } from "./given.ts";
import { native } from "./native.ts";
import { adopt, disown, type Owned, type Where } from "./scope.ts";
import { formatValues, type Nested, nestedValues } from "./values.ts";

/**
 * A libtorch tensor. Every operator whose first argument is `self` is also a method, with PyTorch's name:
 * `x.mul(y).sum([1], { keepdim: true })`.
 *
 * Ownership: inside {@link scope} the scope releases it; outside, the garbage collector does in the end, and
 * `dispose()` or `using` does at once.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the methods are installed from the operator list, see methods.ts
export class Tensor implements Owned {
  #handle: number;
  #lastHandle = -1;
  #released: Where | undefined;

  /** @internal Tensors are made by {@link tensor} and by operators. */
  constructor(handle: number) {
    this.#handle = handle;
    adopt(this);
  }

  /** @internal The native handle. @throws Error after release, with the shape and the place of the release. */
  get handle(): number {
    if (this.#handle < 0) throw this.#useAfterRelease();
    return this.#handle;
  }

  /** @internal The handle, or -1 after release. */
  get liveHandle(): number {
    return this.#handle;
  }

  /** @internal Called by the scope, which releases the native side itself. */
  markReleased(where: Where): void {
    this.#released = where;
    this.#lastHandle = this.#handle;
    this.#handle = -1;
  }

  #useAfterRelease(): Error {
    const shape = native.releasedShape(this.#lastHandle);
    const { stack = "", reason } = this.#released ?? {};
    const place = stack.split("\n")[1]?.trim() ?? "at an unknown place";
    const named = shape === undefined ? "whose shape is no longer known" : `of shape [${shape.join(", ")}]`;
    const why = reason ?? `${place}; return it from the scope, or keep it alive until its last use`;
    return new Error(`a tensor ${named} was used after its release${reason === undefined ? " " : ": "}${why}`);
  }

  get isReleased(): boolean {
    return this.#handle < 0;
  }

  /** Sizes of all dimensions. */
  get shape(): number[] {
    return native.shape(this.handle);
  }

  /** Steps between neighbors of each dimension, in elements. */
  get strides(): number[] {
    return native.strides(this.handle);
  }

  get ndim(): number {
    return this.shape.length;
  }

  /** The number of elements. */
  numel(): number {
    return this.shape.reduce((product, size) => product * size, 1);
  }

  /** The number of dimensions, as {@link ndim}. */
  dim(): number {
    return this.ndim;
  }

  /** All dimensions in reverse order; for a matrix, its transpose. A view. */
  get T(): Tensor {
    return this.numpy_T();
  }

  /** The last two dimensions swapped: the transposes of a batch of matrices. A view. */
  get mT(): Tensor {
    return this.transpose(-2, -1);
  }

  /** As float32. */
  float(): Tensor {
    return this.to("float32");
  }

  /** As float64. */
  double(): Tensor {
    return this.to("float64");
  }

  /** As float16. */
  half(): Tensor {
    return this.to("float16");
  }

  /** As bfloat16. */
  bfloat16(): Tensor {
    return this.to("bfloat16");
  }

  /** As int64. */
  long(): Tensor {
    return this.to("int64");
  }

  /** As int32. */
  int(): Tensor {
    return this.to("int32");
  }

  /** As bool: whether an element is not zero. */
  bool(): Tensor {
    return this.to("bool");
  }

  /** Copies to the CPU, unless it is there. */
  cpu(): Tensor {
    return this.to("cpu");
  }

  /** Copies to a CUDA device, unless it is there; without an index to the first. */
  cuda(index = 0): Tensor {
    return this.to(`cuda:${index}`);
  }

  get dtype(): DType {
    return dtypeName(native.scalarType(this.handle));
  }

  /** For example `cpu` or `cuda:0`. */
  get device(): Device {
    return native.device(this.handle) as Device;
  }

  get requiresGrad(): boolean {
    return native.requiresGrad(this.handle);
  }

  set requiresGrad(value: boolean) {
    native.setRequiresGrad(this.handle, value);
  }

  /** The gradient that `backward` accumulated here, or `undefined`. A new handle to the same memory at every read. */
  get grad(): Tensor | undefined {
    const handle = native.getGrad(this.handle);
    return handle === undefined ? undefined : new Tensor(handle);
  }

  set grad(value: Tensor | undefined) {
    native.setGrad(this.handle, value?.handle ?? null);
  }

  /** Accumulates gradients into the leaves that this tensor was computed from. Without `gradient` it must be a scalar. */
  backward(gradient?: Tensor, options: { retainGraph?: boolean } = {}): void {
    const given = startOf("backward", gradient, options);
    native.backward([this.handle], given === null ? null : [given], options.retainGraph ?? false);
  }

  /**
   * {@link backward} on another thread: JavaScript goes on while it runs. Until the promise is kept, gradients cannot be read or
   * changed, and weights must not be changed; drawing with the model is fine. The tensor may be released at once.
   */
  backwardAsync(gradient?: Tensor, options: { retainGraph?: boolean } = {}): Promise<void> {
    const given = startOf("backwardAsync", gradient, options);
    return native.backwardAsync(this.handle, given, options.retainGraph ?? false);
  }

  /**
   * The only element; NaN on the `meta` device, which has no values.
   *
   * @throws Error when there are more, or for an integer beyond ±2⁵³: `read("int64")` gives bigints
   */
  item(): number {
    return Number(native.item(this.handle));
  }

  /** The elements in row-major order, in a new typed array: one copy. */
  toTypedArray(): TypedArray {
    const array = typedArrayFor(this.dtype, this.numel());
    native.copyToTypedArray(this.handle, array);
    return array;
  }

  /** Like {@link toTypedArray}, for a dtype that is known. @throws TypeError when it is another. */
  read<D extends DType>(dtype: D): TypedArrayOf[D] {
    if (this.dtype !== dtype)
      throw new TypeError(`read("${dtype}") of a ${this.dtype} tensor; convert it first: x.to("${dtype}")`);
    const array = typedArrayFor(dtype, this.numel());
    native.copyToTypedArray(this.handle, array);
    return array;
  }

  /** Releases the memory now. Doing it twice is not an error. */
  dispose(): void {
    this.#release(this.dispose);
  }

  [Symbol.dispose](): void {
    this.#release(this[Symbol.dispose]);
  }

  /** @param caller the method after which the recorded place starts. */
  #release(caller: () => void): void {
    if (this.#handle < 0) return;
    const where: Where = {};
    Error.captureStackTrace(where, caller);
    const handle = this.#handle;
    disown(this);
    this.markReleased(where);
    native.release(handle);
  }

  /** For example `Tensor(float32 [2, 3])`. */
  toString(): string {
    return this.#handle < 0 ? "Tensor(released)" : `Tensor(${this.dtype} [${this.shape.join(", ")}])`;
  }

  /**
   * What JavaScript makes of a tensor in text.
   *
   * @throws TypeError where it makes a number of it, as in `x * 2` or `x < y`: that would be NaN or false, whatever the elements are
   */
  [Symbol.toPrimitive](hint: string): string {
    if (hint === "number")
      throw new TypeError(
        `${this} is no number: JavaScript has no operators for tensors; write x.mul(2) or x.lt(y), or take the only element, x.item()`,
      );
    return this.toString();
  }

  /**
   * The elements as nested arrays of numbers or booleans; the only one of a tensor without dimensions.
   *
   * @throws RangeError for an integer beyond ±2⁵³; TypeError for complex numbers
   */
  tolist(): Nested<number | boolean> {
    return nestedValues(this);
  }

  /** `console.log(x)` shows the values; those of large tensors within other objects are left out. */
  [Symbol.for("nodejs.util.inspect.custom")](depth: number, options: { depth?: number | null }): string {
    if (this.#handle < 0 || this.device === "meta") return this.toString();
    const level = (options.depth ?? Number.POSITIVE_INFINITY) - depth; // 0 at the top, NaN where there is no limit
    if (depth < 0 || (level > 0 && this.numel() > MOST_WITHIN)) return this.toString();
    const more = [this.device === "cpu" ? "" : this.device, this.requiresGrad ? "requiresGrad" : ""].filter(Boolean);
    const head = this.toString().replace(/\)$/, `${more.map((each) => `, ${each}`).join("")})`);
    try {
      return `${head}${this.ndim > 1 ? "\n" : " "}${formatValues(this)}`;
    } catch {
      return head; // sparse and opaque tensors
    }
  }
}

/** The handle of the gradient that a backward pass starts with, if any. @throws TypeError for anything else in its place */
function startOf(name: string, gradient: Tensor | undefined, options: { retainGraph?: boolean }): number | null {
  expectOptions(name, options, { retainGraph: FLAG });
  if (gradient === undefined || gradient === null) return null;
  if (gradient instanceof Tensor) return gradient.handle;
  throw new TypeError(
    `${name}() takes a gradient first, which is a tensor, but got ${kindOf(gradient)}; options come second: ${name}(undefined, { retainGraph: true })`,
  );
}

/** Elements of a tensor that is shown within another object. */
const MOST_WITHIN = 64;

export interface Tensor extends TensorMethods {}

/** Numbers nested to any depth, all rows of a depth equally long. */
export type NestedNumbers = number | readonly NestedNumbers[];

let defaultDevice = "cpu";

/** The device on which tensors are made when none is named; `cpu` at the start. */
export function getDefaultDevice(): string {
  return defaultDevice;
}

/** @throws Error when libtorch does not know the device or this machine does not have it. */
export function setDefaultDevice(device: string): void {
  native.release(native.fromTypedArray(new Uint8Array(), [0], DTYPE_CODES.uint8, device));
  defaultDevice = device;
}

/**
 * A tensor from a typed array (one copy; `shape` defaults to one dimension) or from nested numbers (float32 unless `dtype`
 * says otherwise).
 *
 * @throws TypeError when the nesting is ragged or has something else than numbers, the typed array is not the one that carries `dtype`, a number does not fit it,
 * or the shape does not hold as many elements as came.
 */
export function tensor(
  data: TypedArray | NestedNumbers,
  options: { shape?: readonly number[]; dtype?: DType; device?: string; requiresGrad?: boolean } = {},
): Tensor {
  expectOptions("tensor", options, TENSOR_OPTIONS);
  const array = ArrayBuffer.isView(data) ? data : flatten(data, options.dtype ?? "float32");
  const dtype = options.dtype ?? dtypeOfArray(array);
  const shape =
    options.shape ?? (ArrayBuffer.isView(data) ? [data.length / numbersPerElement(dtype)] : nestedShape(data));
  checkArray(array, shape, dtype);
  const made = new Tensor(native.fromTypedArray(array, shape, DTYPE_CODES[dtype], options.device ?? defaultDevice));
  if (options.requiresGrad) made.requiresGrad = true;
  return made;
}

const TENSOR_OPTIONS = { shape: ANYTHING, dtype: ANYTHING, device: ANYTHING, requiresGrad: FLAG };

const numbersPerElement = (dtype: DType): number => (dtype.startsWith("complex") ? 2 : 1);

/** Equal byte counts are not enough: the bits of integers would pass for fractions. */
function checkArray(array: TypedArray, shape: readonly number[], dtype: DType): void {
  const needed = typedArrayFor(dtype, 0);
  if (!(array instanceof needed.constructor))
    throw new TypeError(
      `tensor() got a ${array.constructor.name} for ${dtype}, which travels in a ${needed.constructor.name}; pass one, or name the dtype of the array and convert: x.to("${dtype}")`,
    );
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0))
    throw new TypeError(`tensor() got the shape [${shape.join(", ")}], which is not a list of sizes`);
  const count = shape.reduce((product, size) => product * size, numbersPerElement(dtype));
  if (array.length !== count)
    throw new TypeError(
      `tensor() got ${array.length} numbers for the ${dtype} shape [${shape.join(", ")}], which takes ${count}`,
    );
}

function nestedShape(data: NestedNumbers): number[] {
  const shape: number[] = [];
  for (let level: NestedNumbers | undefined = data; Array.isArray(level); level = level[0]) shape.push(level.length);
  return shape;
}

function describe(value: unknown): string {
  if (ArrayBuffer.isView(value)) return kindOf(value); // and not all of its numbers
  return typeof value === "object" || value === undefined
    ? String(value)
    : `the ${typeof value} ${JSON.stringify(String(value).slice(0, 80))}`;
}

const isFractional = (dtype: DType): boolean => dtype.includes("float");

function flatten(data: NestedNumbers, dtype: DType): TypedArray {
  if (dtype === "bfloat16" || dtype === "float16" || dtype.startsWith("complex"))
    throw new TypeError(`tensor() makes no ${dtype} from plain numbers; make float32 and convert: x.to("${dtype}")`);
  const shape = nestedShape(data);
  const array = typedArrayFor(
    dtype,
    shape.reduce((product, size) => product * size, 1),
  );
  let position = 0;
  const write = (value: number): void => {
    const stored = dtype === "bool" ? Number(value !== 0) : value;
    const misfit = () => new TypeError(`tensor() got ${value}, which does not fit ${dtype}`);
    if (!isFractional(dtype) && !Number.isInteger(stored)) throw misfit();
    array[position] = dtype === "int64" ? BigInt(stored) : stored;
    // Typed arrays wrap what is too large without a word.
    if (!isFractional(dtype) && Number(array[position]) !== stored) throw misfit();
    position++;
  };
  const visit = (level: NestedNumbers, depth: number): void => {
    if (typeof level === "number") {
      if (depth !== shape.length)
        throw new TypeError(`tensor() got ragged rows: a number at depth ${depth} of ${shape.length}`);
      write(level);
      return;
    }
    if (!Array.isArray(level))
      throw new TypeError(`tensor() takes numbers and arrays of them, but got ${describe(level)} at depth ${depth}`);
    if (level.length !== shape[depth])
      throw new TypeError(
        `tensor() got ragged rows: ${level.length} entries at depth ${depth}, where the first row has ${shape[depth]}`,
      );
    for (const item of level) visit(item, depth + 1);
  };
  visit(data, 0);
  return array;
}
