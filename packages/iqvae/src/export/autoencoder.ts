import {
  COUPLING,
  conditionChannels,
  decoderLayers,
  encoderLayers,
  type ModelShape,
  UNIT_EPSILON,
} from "@iqvae/runtime";
import { Graph, type StoredTensors } from "./graph.ts";
import { convolutional, linear, transposed } from "./layers.ts";

/** Letters of shapes: `B` batch, `C` channels, `H W` pixels, `h w` grid of codes. All but the channels are known when a graph runs. */

/**
 * `condition.onnx`: `planes` float32 `[B, C, H, W]`, as the kind of condition makes them of a sample → `tokens` int64 `[B, h, w]`.
 */
export function conditionGraph(shape: ModelShape, weights: StoredTensors): Graph {
  const graph = new Graph("condition", "planes of a condition to its tokens", weights);
  const planes = graph.input("planes", "float32", ["B", conditionChannels(shape.condition), "H", "W"]);
  const features = convolutional(graph, encoderLayers(shape), planes);
  const rows = graph.op("Transpose", [features], { perm: [0, 2, 3, 1] });
  const vectors = linear(graph, "condition.quantizer.down", rows); // [B, h, w, codeDim]
  const length = graph.op("ReduceL2", [vectors, graph.ints([-1])], { keepdims: 1 });
  const unit = graph.op("Div", [vectors, graph.op("Max", [length, graph.float(UNIT_EPSILON)])]);
  const cosines = graph.op("MatMul", [unit, transposed(graph, graph.weight("condition.quantizer.codebook"))]);
  const tokens = graph.op("ArgMax", [cosines], { axis: -1, keepdims: 0 });
  graph.output("tokens", tokens, "int64", ["B", "h", "w"]);
  return graph;
}

/** `image.onnx`: `tokens` int64 `[B, h, w]`, and where it is coupled those of the `condition`, → `pixels` uint8 `[B, H, W, 3]`. */
export function imageGraph(shape: ModelShape, weights: StoredTensors): Graph {
  const graph = new Graph("image", "tokens of an image to its pixels", weights);
  const tokens = graph.input("tokens", "int64", ["B", "h", "w"]);
  const featuresOf = (half: string, codes: string, layer: string) => {
    const vectors = graph.op("Gather", [graph.weight(`${half}.quantizer.codebook`), codes]); // [B, h, w, codeDim]
    return linear(graph, layer, vectors);
  };
  const own = featuresOf("image", tokens, "image.quantizer.up");
  const rows = shape.autoencoders.coupled
    ? graph.op("Add", [own, featuresOf("condition", graph.input("condition", "int64", ["B", "h", "w"]), COUPLING)])
    : own;
  const features = graph.op("Transpose", [rows], { perm: [0, 3, 1, 2] });
  const planes = convolutional(graph, decoderLayers(shape), features); // in [−1, 1]
  const levels = graph.op("Mul", [graph.op("Add", [planes, graph.float(1)]), graph.float(127.5)]);
  const clipped = graph.op("Clip", [graph.op("Round", [levels]), graph.float(0), graph.float(255)]);
  const bytes = graph.op("Cast", [clipped], { to: UINT8 });
  const pixels = graph.op("Transpose", [bytes], { perm: [0, 2, 3, 1] });
  graph.output("pixels", pixels, "uint8", ["B", "H", "W", 3]);
  return graph;
}

/** `UINT8` of `TensorProto.DataType`, which `Cast` takes. */
const UINT8 = 2;
