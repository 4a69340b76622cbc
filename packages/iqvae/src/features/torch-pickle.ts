import { readFileSync } from "node:fs";
import { scope, type Tensor, tensor } from "@iqvae/torch";

/** `torch.save` before PyTorch 1.6 begins with this number and this version, each a pickle of its own. */
const MAGIC = 0x1950a86a20f9469cfc6cn;
const PROTOCOL = 1001;

/** Bytes of an element of a storage; others than these are refused. */
const STORAGES = { FloatStorage: 4, LongStorage: 8 } as const;
type StorageKind = keyof typeof STORAGES;

/** What is left of `torch.FloatStorage` and the like: where the elements are comes after the last pickle. */
class Storage {
  constructor(
    readonly kind: StorageKind,
    readonly key: string,
    readonly length: number,
  ) {}
}

/** A tensor as `torch._utils._rebuild_tensor_v2` is given it; strides count elements. */
class Described {
  constructor(
    readonly storage: Storage,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
  ) {}
}

/** A name that a pickle calls for. The three functions that are known make plain values, and nothing else can be called. */
class Named {
  constructor(readonly name: string) {}
}

const MARK = Symbol("mark");

/**
 * Reads the tensors of a state dictionary that `torch.save` wrote in its form of before PyTorch 1.6. A pickle is a program that may
 * call anything; this reader knows dictionaries, lists, numbers, strings and tensors, calls nothing, and refuses all else.
 *
 * @returns float32 tensors by name, contiguous; those of int64 (counts of batches) are left out
 * @throws Error that names the file and the position when it holds anything else
 */
export function readTorchPickle(path: string): Map<string, Tensor> {
  const bytes = readFileSync(path);
  const reader = new Unpickler(bytes, path);
  const [magic, version] = [reader.next(), reader.next()];
  if (magic !== MAGIC || version !== PROTOCOL)
    throw new Error(
      `${path} is not a file of torch.save in its form of before PyTorch 1.6: it begins with ${String(magic)} and ${String(version)}.`,
    );
  reader.next(); // byte order and sizes of types, which are the same everywhere by now
  const state = reader.next();
  const keys = reader.next();
  if (!(state instanceof Map) || !Array.isArray(keys))
    throw new Error(`${path} does not hold a dictionary of tensors.`);
  const elements = storages(bytes, reader.position, keys as readonly string[], state, path);
  const found = new Map<string, Tensor>();
  for (const [name, value] of state) {
    if (typeof name !== "string" || !(value instanceof Described))
      throw new Error(`${path} holds something else than a tensor under the name '${String(name)}'.`);
    if (value.storage.kind === "FloatStorage") found.set(name, laidOut(value, elements.get(value.storage.key), path));
  }
  return found;
}

/** The bytes of every storage: after the pickles come, in the order of `keys`, a count of elements (int64) and the elements. */
function storages(
  bytes: Buffer,
  start: number,
  keys: readonly string[],
  state: ReadonlyMap<unknown, unknown>,
  path: string,
): Map<string, Buffer> {
  const known = new Map(
    [...state.values()].flatMap((x) => (x instanceof Described ? [[x.storage.key, x.storage]] : [])),
  );
  const found = new Map<string, Buffer>();
  let at = start;
  for (const key of keys) {
    const storage = known.get(key);
    if (storage === undefined) throw new Error(`${path} has a storage '${key}' of no tensor.`);
    const length = at + 8 <= bytes.length ? Number(bytes.readBigInt64LE(at)) : 0;
    const end = at + 8 + length * STORAGES[storage.kind];
    if (length !== storage.length || end > bytes.length)
      throw new Error(`${path} ends within its tensors, or is damaged: fetch it anew.`);
    found.set(key, bytes.subarray(at + 8, end));
    at = end;
  }
  return found;
}

/** Storages may be shared by several tensors, and a tensor may lie in one in any order. */
function laidOut({ storage, offset, shape, strides }: Described, elements: Buffer | undefined, path: string): Tensor {
  const last = shape.reduce((sum, side, i) => sum + (side - 1) * strides[i]!, offset);
  if (elements === undefined || shape.length !== strides.length || offset < 0 || last >= storage.length)
    throw new Error(
      `${path} describes a tensor of [${shape.join(", ")}] that its storage '${storage.key}' does not hold.`,
    );
  // A copy, since a Buffer may begin at any byte, and floats must not.
  const floats = new Float32Array(Uint8Array.from(elements).buffer);
  return scope(() => tensor(floats).as_strided(shape, strides, offset).contiguous().clone());
}

/** The operations of pickle protocol 2 that plain values are written with, by their codes; the names are those of Python's pickletools. */
class Unpickler {
  position = 0;
  readonly #bytes: Buffer;
  readonly #path: string;
  #stack: unknown[] = [];
  #memo = new Map<number, unknown>();

  constructor(bytes: Buffer, path: string) {
    this.#bytes = bytes;
    this.#path = path;
  }

  /** The value of the next pickle. */
  next(): unknown {
    this.#stack = [];
    this.#memo = new Map();
    while (this.position < this.#bytes.length) {
      const code = this.#byte();
      if (code === 0x2e) return this.#pop(); // STOP
      this.#step(code);
    }
    return this.#refuse("it ends within a pickle");
  }

  #step(code: number): void {
    const stack = this.#stack;
    switch (code) {
      case 0x80: // PROTO
        if (this.#byte() !== 2) this.#refuse("it is of another protocol than 2");
        return;
      case 0x28: // MARK
        stack.push(MARK);
        return;
      case 0x4e: // NONE
        stack.push(null);
        return;
      case 0x88: // NEWTRUE
      case 0x89: // NEWFALSE
        stack.push(code === 0x88);
        return;
      case 0x4b: // BININT1
        stack.push(this.#byte());
        return;
      case 0x4d: // BININT2
        stack.push(this.#take(2).readUInt16LE());
        return;
      case 0x4a: // BININT
        stack.push(this.#take(4).readInt32LE());
        return;
      case 0x8a: // LONG1
        stack.push(long(this.#take(this.#byte())));
        return;
      case 0x58: // BINUNICODE
        stack.push(this.#take(this.#take(4).readUInt32LE()).toString("utf8"));
        return;
      case 0x71: // BINPUT
        this.#memo.set(this.#byte(), stack.at(-1));
        return;
      case 0x72: // LONG_BINPUT
        this.#memo.set(this.#take(4).readUInt32LE(), stack.at(-1));
        return;
      case 0x68: // BINGET
        this.#recall(this.#byte());
        return;
      case 0x6a: // LONG_BINGET
        this.#recall(this.#take(4).readUInt32LE());
        return;
      case 0x7d: // EMPTY_DICT
        stack.push(new Map());
        return;
      case 0x5d: // EMPTY_LIST
        stack.push([]);
        return;
      case 0x29: // EMPTY_TUPLE
        stack.push([]);
        return;
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        stack.push(stack.splice(-(code - 0x84)));
        return;
      case 0x74: // TUPLE
        stack.push(this.#toMark());
        return;
      case 0x65: // APPENDS
        this.#append(this.#toMark());
        return;
      case 0x73: // SETITEM
        this.#set(stack.splice(-2));
        return;
      case 0x75: // SETITEMS
        this.#set(this.#toMark());
        return;
      case 0x63: // GLOBAL
        stack.push(new Named(`${this.#line()}.${this.#line()}`));
        return;
      case 0x51: // BINPERSID
        stack.push(this.#storage(this.#pop()));
        return;
      case 0x52: // REDUCE
        this.#call();
        return;
      case 0x62: // BUILD gives a dictionary attributes (`_metadata` of a state), which nobody needs here
        this.#pop();
        if (!(stack.at(-1) instanceof Map)) this.#refuse("it gives attributes to something else than a dictionary");
        return;
      default:
        this.#refuse(`operation 0x${code.toString(16)} is not one of those that tensors are written with`);
    }
  }

  #call(): void {
    const [callee, values] = [this.#stack.splice(-2, 1)[0], this.#pop()];
    const name = callee instanceof Named ? callee.name : "something that is not a name";
    if (!Array.isArray(values)) this.#refuse(`it calls ${name} without a list of arguments`);
    if (name === "collections.OrderedDict" && values.length === 0) this.#stack.push(new Map());
    else if (name === "torch._utils._rebuild_tensor_v2") this.#stack.push(this.#described(values));
    else this.#refuse(`it calls ${name}, and no more than tensors and dictionaries are read`);
  }

  #described([storage, offset, shape, strides]: readonly unknown[]): Described {
    if (!(storage instanceof Storage) || !isWhole(offset) || !areWhole(shape) || !areWhole(strides))
      this.#refuse("it describes a tensor in a way that is not known");
    return new Described(storage, offset, shape, strides);
  }

  /** `("storage", type, key, place, elements, view)` */
  #storage(id: unknown): Storage {
    const [word, type, key, , length, view] = Array.isArray(id) ? (id as readonly unknown[]) : [];
    const kind = type instanceof Named ? type.name.replace(/^torch\./, "") : "";
    if (word !== "storage" || typeof key !== "string" || !isWhole(length) || view !== null || !(kind in STORAGES))
      this.#refuse(`it refers to a storage ${kind} that is not one of ${Object.keys(STORAGES).join(", ")}`);
    return new Storage(kind as StorageKind, key, length);
  }

  #append(values: readonly unknown[]): void {
    const list = this.#stack.at(-1);
    if (!Array.isArray(list)) this.#refuse("it appends to something else than a list");
    for (const value of values) list.push(value);
  }

  #set(values: readonly unknown[]): void {
    const into = this.#stack.at(-1);
    if (!(into instanceof Map) || values.length % 2 !== 0)
      this.#refuse("it sets items of something else than a dictionary");
    for (let i = 0; i < values.length; i += 2) into.set(values[i], values[i + 1]);
  }

  #toMark(): unknown[] {
    const at = this.#stack.lastIndexOf(MARK);
    if (at < 0) this.#refuse("it goes back to a mark that is not there");
    const values = this.#stack.splice(at);
    return values.slice(1);
  }

  #recall(number: number): void {
    if (!this.#memo.has(number)) this.#refuse(`it recalls value ${number}, which was not kept`);
    this.#stack.push(this.#memo.get(number));
  }

  #pop(): unknown {
    if (this.#stack.length === 0) this.#refuse("it takes a value where there is none");
    return this.#stack.pop();
  }

  #byte(): number {
    return this.#take(1)[0]!;
  }

  #take(count: number): Buffer {
    const part = this.#bytes.subarray(this.position, this.position + count);
    if (part.length < count) this.#refuse("it ends within a value");
    this.position += count;
    return part;
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.position);
    if (end < 0) this.#refuse("it ends within a name");
    const line = this.#take(end - this.position).toString("utf8");
    this.position += 1;
    return line;
  }

  #refuse(why: string): never {
    throw new Error(`${this.#path} cannot be read as a pickle of tensors, at byte ${this.position}: ${why}.`);
  }
}

/** Little-endian two's complement of any length. */
function long(bytes: Buffer): bigint {
  const hex = Buffer.from(bytes).reverse().toString("hex");
  return hex === "" ? 0n : BigInt.asIntN(8 * bytes.length, BigInt(`0x${hex}`));
}

const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const areWhole = (value: unknown): value is number[] => Array.isArray(value) && value.every(isWhole);
