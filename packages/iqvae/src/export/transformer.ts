import type { ModelShape } from "@iqvae/runtime";
import { Graph, type StoredTensors, type Value } from "./graph.ts";
import { layerNorm, linear } from "./layers.ts";
import type { Dimensions } from "./onnx.ts";

/**
 * Letters of shapes: `B` batch, `P` tokens of a condition, `n` tokens of an image, `T` tokens that were read before, `C` features,
 * `H` heads of `D` features, `K` codes.
 */

/**
 * `transformer.onnx` reads any number of tokens at once: a whole condition first, then as many tokens of the image as there are,
 * in the same call or in later ones.
 *
 * | in | |
 * |---|---|
 * | `condition` | int64 `[B, P]`: all tokens of a condition, or none where they were read before |
 * | `image` | int64 `[B, n]`: the next tokens of the image, or none |
 * | `past.I.key`, `past.I.value` | float32 `[B, H, T, D]` for each layer: what `present` was, or `T = 0` |
 *
 * | out | |
 * |---|---|
 * | `logits` | float32 `[B, R, K]`: of the image token after each one that was read, that after the condition included |
 * | `present.I.key`, `present.I.value` | float32 `[B, H, T + P + n, D]` |
 */
export function transformerGraph({ transformer }: Pick<ModelShape, "transformer">, weights: StoredTensors): Graph {
  const { layers, width, heads } = transformer;
  const graph = new Graph("transformer", "tokens of a condition and of an image to logits", weights);
  const condition = graph.input("condition", "int64", ["B", "P"]);
  const image = graph.input("image", "int64", ["B", "n"]);
  const past = inputCaches(graph, layers, ["B", heads, "T", width / heads]);
  const size = (value: Value, axis: number) => graph.op("Shape", [value], { start: axis, end: axis + 1 }); // int64 [1]
  const [P, n, T] = [size(condition, 1), size(image, 1), size(past[0]![0], 2)];
  const fed = graph.op("Add", [P, n]);
  const all = graph.op("Add", [T, fed]);
  const one = graph.ints([1]);
  // The first position whose logits are wanted, among those that are fed: the condition's last.
  const first = graph.op("Max", [graph.op("Sub", [P, one]), graph.ints([0])]);
  const from = (value: Value, axis: number) => graph.op("Slice", [value, first, fed, graph.ints([axis])]);

  const embedded = graph.op(
    "Concat",
    [
      graph.op("Gather", [graph.weight("transformer.conditionEmbedding.weight"), condition]),
      graph.op("Gather", [graph.weight("transformer.imageEmbedding.weight"), image]),
    ],
    { axis: 1 },
  );
  const positions = graph.op("Slice", [graph.weight("transformer.positions"), T, all, graph.ints([0])]);
  let x = graph.op("Add", [embedded, positions]); // [B, P + n, C]

  const scalar = (value: Value) => graph.op("Squeeze", [value, graph.ints([0])]);
  const range = (start: Value, end: Value) => graph.op("Range", [start, end, graph.int(1)]);
  const [begin, end] = [scalar(T), scalar(all)];
  const rows = graph.op("Unsqueeze", [range(begin, end), graph.ints([1])]);
  const mask = graph.op("LessOrEqual", [range(graph.int(0), end), rows]); // [P + n, T + P + n], true where a row may look
  const present: Cached[] = [];
  for (let i = 0; i < layers; i++) {
    const name = `transformer.blocks.${i}`;
    // Nobody looks at the condition's outputs of the last layer: there they serve as keys and values only.
    const last = i === layers - 1;
    const qkv = linear(graph, `${name}.attention.qkv`, layerNorm(graph, `${name}.norm1`, x));
    const [q, k, v] = graph.ops("Split", [qkv], 3, { axis: -1, num_outputs: 3 }) as [Value, Value, Value];
    const [mixed, key, value] = graph.ops(
      "Attention",
      [last ? from(q, 1) : q, k, v, last ? from(mask, 0) : mask, ...past[i]!],
      3,
      { q_num_heads: heads, kv_num_heads: heads },
    ) as [Value, Value, Value];
    present.push([key, value]);
    x = perceptron(
      graph,
      name,
      graph.op("Add", [last ? from(x, 1) : x, linear(graph, `${name}.attention.project`, mixed)]),
    );
  }
  graph.output("logits", head(graph, x), "float32", ["B", "R", codes(weights)]);
  outputCaches(graph, "present", present, ["B", heads, "T + P + n", width / heads]);
  return graph;
}

/**
 * `step.onnx` reads one token of the image. The caller keeps keys and values in buffers, as long as it likes, and puts what comes
 * out in place of row `past_length`: so nothing that was there before is copied.
 *
 * | in | |
 * |---|---|
 * | `token` | int64 `[B]` |
 * | `past_length` | int64 `[1]`: tokens that were read before, those of the condition included |
 * | `past.I.key`, `past.I.value` | float32 `[B, H, T, D]` for each layer, `T ≥ past_length`; later rows are not looked at, but must be finite |
 *
 * | out | |
 * |---|---|
 * | `logits` | float32 `[B, K]`: of the next token |
 * | `new.I.key`, `new.I.value` | float32 `[B, H, 1, D]` |
 */
export function stepGraph({ transformer }: Pick<ModelShape, "transformer">, weights: StoredTensors): Graph {
  const { layers, width, heads } = transformer;
  const D = width / heads;
  const graph = new Graph("step", "one token of an image, and what is remembered of those before, to logits", weights);
  const token = graph.input("token", "int64", ["B"]);
  const length = graph.input("past_length", "int64", [1]);
  const past = inputCaches(graph, layers, ["B", heads, "T", D]);

  const embedded = graph.op("Gather", [graph.weight("transformer.imageEmbedding.weight"), token]);
  let x = graph.op("Add", [embedded, graph.op("Gather", [graph.weight("transformer.positions"), length])]); // [B, C]
  const room = graph.op("Squeeze", [graph.op("Shape", [past[0]![0]], { start: 2, end: 3 })]);
  const rows = graph.op("Range", [graph.int(0), room, graph.int(1)]);
  const there = graph.op("Less", [rows, length]);
  const mask = graph.op("Where", [there, graph.float(0), graph.float(-Infinity)]); // [T]
  const scale = graph.float(1 / Math.sqrt(D));
  // Each node costs a microsecond or more, which at one row is a good part of what its numbers cost: so there are as few as can be.
  const byHead = graph.ints([0, 3 * heads, 1, D]);
  const pastAndItself = graph.op("Concat", [graph.op("Shape", [past[0]![0]], { start: 2, end: 3 }), graph.ints([1])], {
    axis: 0,
  });
  const made: Cached[] = [];
  for (let i = 0; i < layers; i++) {
    const name = `transformer.blocks.${i}`;
    const qkv = linear(graph, `${name}.attention.qkv`, layerNorm(graph, `${name}.norm1`, x));
    const parts = graph.ops("Split", [graph.op("Reshape", [qkv, byHead])], 3, { axis: 1, num_outputs: 3 });
    const [q, k, v] = parts as [Value, Value, Value]; // [B, H, 1, D]
    const [keys, values] = past[i]!;
    const query = graph.op("Mul", [q, scale]);
    const products = (others: Value) =>
      graph.op("MatMul", [query, graph.op("Transpose", [others], { perm: [0, 1, 3, 2] })]);
    const scores = graph.op("Concat", [graph.op("Add", [products(keys), mask]), products(k)], { axis: -1 }); // [B, H, 1, T + 1]
    const shares = graph.op("Softmax", [scores], { axis: -1 });
    const [toPast, toItself] = graph.ops("Split", [shares, pastAndItself], 2, { axis: -1 }) as [Value, Value];
    const mixed = graph.op("Add", [graph.op("MatMul", [toPast, values]), graph.op("Mul", [toItself, v])]);
    made.push([k, v]);
    const joined = graph.op("Reshape", [mixed, graph.ints([0, width])]);
    x = perceptron(graph, name, graph.op("Add", [x, linear(graph, `${name}.attention.project`, joined)]));
  }
  graph.output("logits", head(graph, x), "float32", ["B", codes(weights)]);
  outputCaches(graph, "new", made, ["B", heads, 1, D]);
  return graph;
}

const PAIR = ["key", "value"] as const;
/** Keys and values of one layer. */
type Cached = readonly [Value, Value];

function inputCaches(graph: Graph, layers: number, shape: Dimensions): Cached[] {
  const input = (i: number, what: string) => graph.input(`past.${i}.${what}`, "float32", shape);
  return Array.from({ length: layers }, (_, i) => [input(i, "key"), input(i, "value")] as const);
}

function outputCaches(graph: Graph, name: string, caches: readonly Cached[], shape: Dimensions): void {
  caches.forEach((pair, i) => {
    PAIR.forEach((what, half) => {
      graph.output(`${name}.${i}.${what}`, pair[half]!, "float32", shape);
    });
  });
}

/** The second half of a layer, added to what comes in. */
function perceptron(graph: Graph, name: string, x: Value): Value {
  const hidden = linear(graph, `${name}.expand`, layerNorm(graph, `${name}.norm2`, x));
  return graph.op("Add", [linear(graph, `${name}.contract`, graph.op("Gelu", [hidden])), x]);
}

function head(graph: Graph, x: Value): Value {
  return linear(graph, "transformer.head", layerNorm(graph, "transformer.norm", x), { bias: false });
}

function codes(weights: StoredTensors): number {
  return weights.get("transformer.head.weight")!.shape[0]!;
}
