import { VERSION } from "../support/version.ts";
import {
  type Attributes,
  type Dimensions,
  type Element,
  type ExternalData,
  externalTensor,
  model,
  node,
  real,
  tensor,
  valueInfo,
} from "./onnx.ts";

/** A value that flows through a graph, by its name. */
export type Value = string;

/** A tensor of `model.safetensors`, as a graph names it. */
export interface StoredTensor extends ExternalData {
  readonly element: Element;
  readonly shape: readonly number[];
}

/** The tensors of `model.safetensors` by their names. */
export type StoredTensors = ReadonlyMap<string, StoredTensor>;

/** Tensors of numbers a row, by which those of 8 bits are multiplied; see `weights.ts`. */
export const SCALE = ".scale";

interface Node {
  readonly type: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attributes: Attributes;
}

/** Builds an ONNX graph, node by node, whose weights lie in `model.safetensors`. Each method returns the value that it made. */
export class Graph {
  readonly #name: string;
  readonly #description: string;
  readonly #weights: StoredTensors;
  readonly #nodes: Node[] = [];
  readonly #initializers: Buffer[] = [];
  readonly #inputs: Buffer[] = [];
  readonly #outputs: Buffer[] = [];
  /** What values are called that are outputs. */
  readonly #names = new Map<Value, string>();
  /** Weights and constants that are there already, by what they are. */
  readonly #known = new Map<string, Value>();
  #count = 0;

  constructor(name: string, description: string, weights: StoredTensors) {
    this.#name = name;
    this.#description = description;
    this.#weights = weights;
  }

  input(name: string, element: Element, shape: Dimensions): Value {
    this.#inputs.push(valueInfo(name, element, shape));
    return name;
  }

  /** Makes a value that a node made an output, under a name of its own. A node that hands it on would be run, and copy it. */
  output(name: string, value: Value, element: Element, shape: Dimensions): void {
    this.#names.set(value, name);
    this.#outputs.push(valueInfo(name, element, shape));
  }

  /** A node with one output. An input of `""` is one that is left out. */
  op(type: string, inputs: readonly Value[], attributes: Attributes = {}): Value {
    return this.ops(type, inputs, 1, attributes)[0]!;
  }

  /** A node with several outputs. */
  ops(type: string, inputs: readonly Value[], outputs: number, attributes: Attributes = {}): Value[] {
    const made = Array.from({ length: outputs }, () => `${type.toLowerCase()}_${this.#count++}`);
    this.#nodes.push({ type, inputs, outputs: made, attributes });
    return made;
  }

  /**
   * A weight as float32, whatever it is stored as: of fewer bits, nodes convert it, which are done once, when the graph is loaded.
   *
   * @throws Error for a name that the model does not have
   */
  weight(name: string): Value {
    return this.#once(name, () => {
      const { element } = this.#declare(name);
      if (element === "float32") return name;
      const value = this.op("Cast", [name], { to: FLOAT });
      if (element === "float16") return value;
      const { shape } = this.#declare(name + SCALE);
      const rank = this.#weights.get(name)!.shape.length;
      const column = this.op("Reshape", [name + SCALE, this.ints([...shape, ...Array(rank - 1).fill(1)])]);
      return this.op("Mul", [value, column]);
    });
  }

  /** A list of whole numbers, int64 `[n]`. */
  ints(values: readonly number[]): Value {
    return this.#constant(`ints_${values.join("_")}`, "int64", [values.length], BigInt64Array.from(values, BigInt));
  }

  /** One whole number, int64 `[]`. */
  int(value: number): Value {
    return this.#constant(`int_${value}`, "int64", [], BigInt64Array.of(BigInt(value)));
  }

  /** A list of numbers, float32 `[n]`. */
  floats(values: readonly number[]): Value {
    return this.#constant(`floats_${values.join("_")}`, "float32", [values.length], Float32Array.from(values));
  }

  /** One number, float32 `[]`. */
  float(value: number): Value {
    return this.#constant(`float_${value}`, "float32", [], Float32Array.of(value));
  }

  /** The `.onnx` file. */
  encode(): Buffer {
    const named = (values: readonly Value[]) => values.map((value) => this.#names.get(value) ?? value);
    return model(
      {
        name: this.#name,
        description: this.#description,
        nodes: this.#nodes.map(({ type, inputs, outputs, attributes }) =>
          node(type, named(inputs), named(outputs), attributes),
        ),
        initializers: this.#initializers,
        inputs: this.#inputs,
        outputs: this.#outputs,
      },
      { name: "iqvae", version: VERSION },
    );
  }

  #declare(name: string): StoredTensor {
    const stored = this.#weights.get(name);
    if (stored === undefined) throw new Error(`Graph.weight("${name}"): the model has no such tensor`);
    this.#initializers.push(externalTensor(name, stored.element, stored.shape, stored));
    return stored;
  }

  #constant(name: string, element: Element, shape: readonly number[], values: BigInt64Array | Float32Array): Value {
    return this.#once(name, () => {
      const { buffer, byteOffset, byteLength } = values;
      this.#initializers.push(tensor(name, element, shape, new Uint8Array(buffer, byteOffset, byteLength)));
      return name;
    });
  }

  #once(key: string, make: () => Value): Value {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.#known.set(key, made);
    return made;
  }
}

/** `FLOAT` of `TensorProto.DataType`, which `Cast` takes. */
const FLOAT = 1;

export { real };
