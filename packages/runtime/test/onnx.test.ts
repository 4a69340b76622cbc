import * as node from "onnxruntime-node";
import * as web from "onnxruntime-web/wasm";
import { expect, test } from "vitest";
import { onnxEngine } from "../src/engines/onnx.ts";
import { ownEngine } from "../src/engines/own.ts";
import { ModelError } from "../src/errors.ts";
import { engineContract } from "./engines.ts";
import { exampleOf } from "./support.ts";

const onOne = { intraOpNumThreads: 1, interOpNumThreads: 1 };
const presets = ["tiny", "start", "hands", "scenes", "words", "speech"];
web.env.wasm.numThreads = 1;

for (const preset of presets) engineContract("ONNX Runtime, native", onnxEngine(node, onOne), preset);
engineContract("ONNX Runtime, native", onnxEngine(node, onOne), "tiny", ["stage1.model.coupled=true"]);
for (const preset of ["tiny", "start", "words"]) engineContract("ONNX Runtime, WebAssembly", onnxEngine(web), preset);

test("weights of 16 and 8 bits are computed with as what they stand for, as by the own engine", async () => {
  for (const type of ["f16", "int8"] as const) {
    const { model, weights, read } = await exampleOf("tiny", { type });
    const [own, theirs] = [await ownEngine(model, weights), await onnxEngine(node, onOne)(model, weights, read)];
    const none = new Int32Array();
    const tokens = Int32Array.from({ length: 16 }, (_, t) => (t * 7) % 32);
    const [a, b] = [await own.decode(tokens, none), await theirs.decode(tokens, none)];
    expect(a.reduce((most, byte, i) => Math.max(most, Math.abs(byte - b[i]!)), 0)).toBeLessThanOrEqual(1);
    await theirs.release();
  }
});

test("a file that it cannot load is named, and what was loaded before is let go", async () => {
  const { model, weights, read } = await exampleOf("tiny");
  const loaded: string[] = [];
  const counting = {
    Tensor: node.Tensor,
    InferenceSession: {
      async create(graph: Uint8Array, options?: object) {
        const session = await node.InferenceSession.create(graph, options);
        loaded.push("one");
        return { run: session.run.bind(session), release: async () => void loaded.pop() };
      },
    },
  };
  const broken = async (name: string) => (name === "step.onnx" ? Uint8Array.of(1, 2, 3) : await read(name));
  const failed = Promise.resolve(onnxEngine(counting)(model, weights, broken));
  await expect(failed).rejects.toThrow(ModelError);
  await expect(failed).rejects.toMatchObject({ file: "step.onnx", message: expect.stringContaining("ONNX Runtime") });
  expect(loaded).toEqual([]);
});
