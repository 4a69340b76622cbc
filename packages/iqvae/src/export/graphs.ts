import type { ModelShape } from "@iqvae/runtime";
import { conditionGraph, imageGraph } from "./autoencoder.ts";
import type { Graph, StoredTensors } from "./graph.ts";
import { stepGraph, transformerGraph } from "./transformer.ts";

/** The graphs of an exported folder by the names of their files. */
export const GRAPHS: Readonly<Record<string, (shape: ModelShape, weights: StoredTensors) => Graph>> = {
  "condition.onnx": conditionGraph,
  "transformer.onnx": transformerGraph,
  "step.onnx": stepGraph,
  "image.onnx": imageGraph,
};
