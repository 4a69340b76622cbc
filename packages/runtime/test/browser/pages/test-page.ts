// What the page of the tests has: the package as its users have it, and what measures it.
import * as runtime from "../../../src/index.ts";
import { WorkerGenerator } from "../../../src/worker/client.ts";

/** An engine of the page, by the name that tests have for it. */
async function engineOf(name: string): Promise<runtime.EngineFactory> {
  if (name === "own") return runtime.ownEngine;
  const path = `/onnxruntime/ort.${name}.bundle.min.mjs`; // "wasm" or "webgpu"
  const ort = await import(/* @vite-ignore */ path);
  ort.env.wasm.numThreads = 1;
  return runtime.onnxEngine(ort, { executionProviders: [name] });
}

/** Tokens for tokens of conditions. */
async function drawTokens(
  url: string,
  engineName: string,
  conditions: number[][],
  options: object,
): Promise<number[][]> {
  const read = async (name: string) => new Uint8Array(await (await fetch(new URL(name, `${url}/`))).arrayBuffer());
  const model = runtime.parseBundle(new TextDecoder().decode(await read(runtime.MODEL_FILE)));
  const weights = runtime.readWeights(await read(runtime.WEIGHTS_FILE), model);
  const engine = await (await engineOf(engineName))(model, weights, read);
  const given = conditions.map((row) => Int32Array.from(row));
  const drawing = runtime.sampleTokens(runtime.tokenCounts(model), given, options);
  let step = drawing.next();
  while (!step.done) step = drawing.next(await engine.predict(step.value));
  await engine.release();
  return step.value.map((row) => [...row]);
}

/** Whoever draws, in the page or in a worker. */
async function load(url: string, engineName: string, options: runtime.LoadOptions = {}) {
  if (engineName === "worker") return await WorkerGenerator.load(url, options);
  return await runtime.ImageGenerator.load(url, { ...options, engine: await engineOf(engineName) });
}

Object.assign(globalThis, { iqvae: { ...runtime, drawTokens, load } });
export type TestPage = typeof runtime & { drawTokens: typeof drawTokens; load: typeof load };
