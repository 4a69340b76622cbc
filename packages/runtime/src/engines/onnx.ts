import { WEIGHTS_FILE } from "../bundle.ts";
import { conditionPlanes } from "../conditions/spec.ts";
import { ModelError } from "../errors.ts";
import type { Answer, Question } from "../sampling/sample.ts";
import type { DrawnModel, Engine, EngineFactory, ReadFile } from "./engine.ts";
import { OnnxTransformer } from "./onnx-transformer.ts";

/** A tensor of ONNX Runtime in the memory of the processor. */
export interface OnnxTensor {
  readonly data: unknown;
  readonly dims: readonly number[];
}

/** Tensors by the names of a graph's inputs or outputs. */
export type OnnxTensors = Readonly<Record<string, OnnxTensor>>;

export interface OnnxSession {
  run(feeds: never): Promise<OnnxTensors>;
  release(): Promise<void>;
}

/** What is used of ONNX Runtime: the packages `onnxruntime-web` and `onnxruntime-node` are of this shape. */
export interface OnnxRuntime {
  readonly InferenceSession: { create(graph: Uint8Array, options?: object): Promise<OnnxSession> };
  readonly Tensor: new (type: "int64" | "float32", data: never, dims: readonly number[]) => OnnxTensor;
}

/** A graph that is ready to run. */
export interface Graph {
  run(feeds: OnnxTensors): Promise<OnnxTensors>;
  release(): Promise<void>;
}

/** Makes tensors of numbers. */
export interface Tensors {
  /** int64. */
  whole(values: ArrayLike<number>, dims: readonly number[]): OnnxTensor;
  float(values: Float32Array, dims: readonly number[]): OnnxTensor;
}

/**
 * ONNX Runtime as the engine, by the four graphs of an exported folder:
 *
 *     import * as ort from "onnxruntime-web";
 *     const generator = await ImageGenerator.load("/models/faces/", { engine: onnxEngine(ort) });
 *
 * @param ort `onnxruntime-web` or `onnxruntime-node`, 1.23 or newer; this package does not import either
 * @param options of its sessions, such as `executionProviders` and `intraOpNumThreads`
 */
export function onnxEngine(ort: OnnxRuntime, options: object = {}): EngineFactory {
  return async (model, _weights, read) => await OnnxEngine.load(ort, options, model, read);
}

const GRAPHS = ["condition.onnx", "transformer.onnx", "step.onnx", "image.onnx"] as const;

class OnnxEngine implements Engine {
  readonly name = "ONNX Runtime";
  readonly #model: DrawnModel;
  readonly #graphs: readonly Graph[];
  readonly #tensors: Tensors;
  readonly #transformer: OnnxTransformer;

  private constructor(model: DrawnModel, graphs: readonly Graph[], tensors: Tensors) {
    this.#model = model;
    this.#graphs = graphs;
    this.#tensors = tensors;
    this.#transformer = new OnnxTransformer(model, graphs[1]!, graphs[2]!, tensors);
  }

  static async load(ort: OnnxRuntime, options: object, model: DrawnModel, read: ReadFile): Promise<OnnxEngine> {
    const graphs: Graph[] = [];
    try {
      for (const name of GRAPHS) graphs.push(await loadGraph(ort, options, name, read));
    } catch (error) {
      await releaseAll(graphs);
      throw error;
    }
    return new OnnxEngine(model, graphs, tensorsOf(ort));
  }

  async encode(planes: Float32Array): Promise<Int32Array> {
    const [height, width] = conditionPlanes(this.#model.condition, this.#model.size);
    const channels = planes.length / (height * width);
    const byChannel = new Float32Array(planes.length);
    planes.forEach((value, i) => {
      byChannel[(i % channels) * height * width + Math.floor(i / channels)] = value;
    });
    const feeds = { planes: this.#tensors.float(byChannel, [1, channels, height, width]) };
    const { tokens } = await this.#graphs[0]!.run(feeds);
    return Int32Array.from(tokens!.data as BigInt64Array, Number);
  }

  async predict(question: Question): Promise<Answer> {
    return await this.#transformer.predict(question);
  }

  keep(sequences: Int32Array): void {
    this.#transformer.keep(sequences);
  }

  async decode(tokens: Int32Array, condition: Int32Array): Promise<Uint8Array> {
    const { grids, autoencoders } = this.#model;
    const feeds = {
      tokens: this.#tensors.whole(tokens, [1, ...grids.image]),
      ...(autoencoders.coupled === true && { condition: this.#tensors.whole(condition, [1, ...grids.condition]) }),
    };
    const { pixels } = await this.#graphs[3]!.run(feeds);
    return pixels!.data as Uint8Array;
  }

  async release(): Promise<void> {
    this.#transformer.forget();
    await releaseAll(this.#graphs);
  }
}

async function loadGraph(ort: OnnxRuntime, options: object, name: string, read: ReadFile): Promise<Graph> {
  const [graph, data] = [await read(name), await read(WEIGHTS_FILE)];
  try {
    // Warnings would be about weights of 16 and 8 bits, which it unpacks once.
    const all = { logSeverityLevel: 3, ...options, externalData: [{ path: WEIGHTS_FILE, data }] };
    const session = await ort.InferenceSession.create(graph, all);
    return { run: (feeds) => session.run(feeds as never), release: () => session.release() };
  } catch (cause) {
    const reason = `ONNX Runtime cannot load it (${(cause as Error).message}); it needs version 1.23 or newer`;
    throw new ModelError(name, "unknown format", reason, { cause });
  }
}

async function releaseAll(graphs: readonly Graph[]): Promise<void> {
  for (const graph of graphs) await graph.release();
}

function tensorsOf({ Tensor }: OnnxRuntime): Tensors {
  return {
    whole: (values, dims) => new Tensor("int64", BigInt64Array.from(values as number[], BigInt) as never, dims),
    float: (values, dims) => new Tensor("float32", values as never, dims),
  };
}
