// Draws tokens with `generate()` of transformers.js, by a graph in the form that it takes: one vocabulary, the image's codes before those of
// the condition, and caches that go in and come out. The weights are those of an exported folder.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseBundle } from "@iqvae/runtime";
import { Graph } from "../../packages/iqvae/dist/export/graph.js";
import { layerNorm, linear } from "../../packages/iqvae/dist/export/layers.js";
import { storedTensors } from "../../packages/iqvae/dist/export/weights.js";

const require = createRequire(import.meta.url);
const load = async (name) => await import(pathToFileURL(require.resolve(name)).href);

/** @throws Error where it is not installed */
export async function openPeer() {
  try {
    return { transformers: await load("@huggingface/transformers"), ort: (await load("onnxruntime-node")).default };
  } catch (cause) {
    throw new Error(
      `transformers.js is not there (${cause.message}): npm install --prefix bench/peers --ignore-scripts`,
      { cause },
    );
  }
}

/** One graph for any number of tokens: `input_ids` and `past_key_values` to `logits` and `present`. */
function mergedGraph({ transformer, autoencoders }, weights) {
  const { layers, width, heads } = transformer;
  const graph = new Graph("merged", "tokens and what is remembered of those before, to logits", weights);
  const ids = graph.input("input_ids", "int64", ["batch_size", "n"]);
  graph.input("attention_mask", "int64", ["batch_size", "T + n"]); // it passes one, in which nothing is masked
  const past = Array.from({ length: layers }, (_, i) =>
    ["key", "value"].map((what) =>
      graph.input(`past_key_values.${i}.${what}`, "float32", ["batch_size", heads, "T", width / heads]),
    ),
  );
  const size = (value, axis) => graph.op("Shape", [value], { start: axis, end: axis + 1 });
  const [n, T] = [size(ids, 1), size(past[0][0], 2)];
  const all = graph.op("Add", [T, n]);
  const table = graph.op(
    "Concat",
    [graph.weight("transformer.imageEmbedding.weight"), graph.weight("transformer.conditionEmbedding.weight")],
    { axis: 0 },
  );
  const positions = graph.op("Slice", [graph.weight("transformer.positions"), T, all, graph.ints([0])]);
  let x = graph.op("Add", [graph.op("Gather", [table, ids]), positions]);
  const scalar = (value) => graph.op("Squeeze", [value, graph.ints([0])]);
  const range = (start, end) => graph.op("Range", [start, end, graph.int(1)]);
  const rows = graph.op("Unsqueeze", [range(scalar(T), scalar(all)), graph.ints([1])]);
  const mask = graph.op("LessOrEqual", [range(graph.int(0), scalar(all)), rows]);
  const present = [];
  for (let i = 0; i < layers; i++) {
    const name = `transformer.blocks.${i}`;
    const qkv = linear(graph, `${name}.attention.qkv`, layerNorm(graph, `${name}.norm1`, x));
    const parts = graph.ops("Split", [qkv], 3, { axis: -1, num_outputs: 3 });
    const heading = { q_num_heads: heads, kv_num_heads: heads };
    const [mixed, key, value] = graph.ops("Attention", [...parts, mask, ...past[i]], 3, heading);
    present.push([key, value]);
    x = graph.op("Add", [x, linear(graph, `${name}.attention.project`, mixed)]);
    const hidden = graph.op("Gelu", [linear(graph, `${name}.expand`, layerNorm(graph, `${name}.norm2`, x))]);
    x = graph.op("Add", [linear(graph, `${name}.contract`, hidden), x]);
  }
  // Only the last position is looked at.
  const last = graph.op("Slice", [x, graph.ints([-1]), graph.ints([2 ** 31 - 1]), graph.ints([1])]);
  const logits = linear(graph, "transformer.head", layerNorm(graph, "transformer.norm", last), { bias: false });
  graph.output("logits", logits, "float32", ["B", 1, autoencoders.image.codes]);
  present.forEach((pair, i) => {
    ["key", "value"].forEach((what, half) => {
      graph.output(`present.${i}.${what}`, pair[half], "float32", ["B", heads, "T + n", width / heads]);
    });
  });
  return graph;
}

/** Writes what transformers.js loads beside an exported folder's weights, and loads it. @returns draws tokens */
export async function loadPeer({ AutoModelForCausalLM, env, Tensor }, folder) {
  const bundle = parseBundle(readFileSync(join(folder, "model.json"), "utf8"));
  const { layers, width, heads } = bundle.transformer;
  const codes = bundle.autoencoders.image.codes;
  const config = {
    model_type: "gpt2",
    architectures: ["GPT2LMHeadModel"],
    vocab_size: codes + bundle.autoencoders.condition.codes,
    n_embd: width,
    n_head: heads,
    n_layer: layers,
    n_positions: 1024,
  };
  mkdirSync(join(folder, "onnx"));
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  writeFileSync(join(folder, "generation_config.json"), JSON.stringify({}));
  const weights = storedTensors(join(folder, "model.safetensors"), "model.safetensors");
  copyFileSync(join(folder, "model.safetensors"), join(folder, "onnx/model.safetensors")); // it reads none of another folder
  writeFileSync(join(folder, "onnx/model.onnx"), mergedGraph(bundle, weights).encode());
  env.allowRemoteModels = false;
  const session_options = { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 };
  const model = await AutoModelForCausalLM.from_pretrained(folder, { dtype: "fp32", device: "cpu", session_options });
  const count = bundle.grids.image[0] * bundle.grids.image[1];
  return async (condition, samples) => {
    const ids = Array.from({ length: samples }, () => [...condition])
      .flat()
      .map((token) => BigInt(codes + token));
    const dims = [samples, condition.length];
    const inputs = new Tensor("int64", BigInt64Array.from(ids), dims);
    const attention_mask = new Tensor("int64", new BigInt64Array(ids.length).fill(1n), dims);
    const sampling = { do_sample: true, top_k: 0, max_new_tokens: count, min_new_tokens: count };
    const out = await model.generate({ inputs, attention_mask, ...sampling });
    return out.tolist().map((row) => row.slice(condition.length).map(Number));
  };
}
