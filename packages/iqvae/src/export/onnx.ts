import { bytes, float, integer, integers, message, string } from "../support/protobuf.ts";

/**
 * ONNX's messages, by the field numbers of its `onnx.proto` (https://onnx.ai/onnx/api/classes.html). Of what a message can hold, only
 * what graphs of ours need is here.
 */

/** Element types, by their numbers in `TensorProto.DataType`. */
export const ELEMENTS = { float32: 1, uint8: 2, int8: 3, int64: 7, bool: 9, float16: 10 } as const;
export type Element = keyof typeof ELEMENTS;

/** A dimension is a number, or the name of one that is known when the graph runs. */
export type Dimensions = readonly (number | string)[];

/** Attributes of a node; whole numbers are integers, so a number that may be a fraction is wrapped by {@link real}. */
export type Attribute = number | string | readonly number[] | { readonly real: number };

/** An attribute that is a float, whatever its value. */
export const real = (value: number): Attribute => ({ real: value });

/** Where the bytes of an initializer lie: in a file beside the graph. */
export interface ExternalData {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

export function node(type: string, inputs: readonly string[], output: readonly string[], attributes: Attributes) {
  const fields = Object.entries(attributes).map(([name, value]) => bytes(5, attribute(name, value)));
  return message(
    ...inputs.map((name) => string(1, name)),
    ...output.map((name) => string(2, name)),
    string(3, output[0]!),
    string(4, type),
    ...fields,
  );
}

export type Attributes = Readonly<Record<string, Attribute>>;

function attribute(name: string, value: Attribute): Buffer {
  const typed = (type: number, field: Buffer) => message(string(1, name), field, integer(20, type));
  if (typeof value === "number") return typed(2, integer(3, value));
  if (typeof value === "string") return typed(3, string(4, value));
  if ("real" in value) return typed(1, float(2, value.real));
  return typed(7, integers(8, value));
}

/** An initializer whose bytes are in the graph, little-endian. */
export function tensor(name: string, element: Element, shape: readonly number[], data: Uint8Array): Buffer {
  return message(integers(1, shape), integer(2, ELEMENTS[element]), string(8, name), bytes(9, data));
}

/** An initializer whose bytes are in another file. */
export function externalTensor(name: string, element: Element, shape: readonly number[], data: ExternalData): Buffer {
  const entry = (key: string, value: string | number) => bytes(13, message(string(1, key), string(2, String(value))));
  return message(
    integers(1, shape),
    integer(2, ELEMENTS[element]),
    string(8, name),
    entry("location", data.location),
    entry("offset", data.offset),
    entry("length", data.length),
    integer(14, EXTERNAL),
  );
}
const EXTERNAL = 1;

/** An input or an output of a graph. */
export function valueInfo(name: string, element: Element, shape: Dimensions): Buffer {
  const dimensions = shape.map((side) => bytes(1, typeof side === "number" ? integer(1, side) : string(2, side)));
  const type = message(integer(1, ELEMENTS[element]), bytes(2, message(...dimensions)));
  return message(string(1, name), bytes(2, bytes(1, type)));
}

/** The parts of a graph, encoded. */
export interface GraphParts {
  readonly nodes: readonly Buffer[];
  readonly name: string;
  readonly description: string;
  readonly initializers: readonly Buffer[];
  readonly inputs: readonly Buffer[];
  readonly outputs: readonly Buffer[];
}

/** The first version whose operators normalize by groups, know GELU, and attend. */
export const OPSET = 23;
/** The version of the file format: the oldest that has all that is used. */
const IR_VERSION = 10;

/** A whole `.onnx` file. */
export function model(graph: GraphParts, producer: { readonly name: string; readonly version: string }): Buffer {
  const encoded = message(
    ...graph.nodes.map((each) => bytes(1, each)),
    string(2, graph.name),
    ...graph.initializers.map((each) => bytes(5, each)),
    string(10, graph.description),
    ...graph.inputs.map((each) => bytes(11, each)),
    ...graph.outputs.map((each) => bytes(12, each)),
  );
  return message(
    integer(1, IR_VERSION),
    string(2, producer.name),
    string(3, producer.version),
    bytes(7, encoded),
    bytes(8, integer(2, OPSET)),
  );
}
