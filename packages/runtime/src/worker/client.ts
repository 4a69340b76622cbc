import type { Bundle } from "../bundle.ts";
import type { Condition } from "../conditions/condition.ts";
import { plainCondition } from "../conditions/index.ts";
import type { ModelSource } from "../files.ts";
import type { Frame, ImageOptions, LoadOptions } from "../generator.ts";
import { type Loaded, type Port, type Reply, type Request, type SentOptions, unpackError } from "./protocol.ts";

type Unnumbered<R> = R extends { readonly id: number } ? Omit<R, "id"> : never;

/** What comes back of one request. */
interface Listener {
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly onFrame?: (frame: Frame) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * An `ImageGenerator` in a worker, so that the page never waits. In a browser:
 *
 *     const worker = new Worker(new URL("@iqvae/runtime/worker", import.meta.url), { type: "module" });
 *     const generator = await WorkerGenerator.load(worker, "/models/faces/");
 *
 * It takes a `MessagePort` as well, with `serve` at its other end.
 */
export class WorkerGenerator implements AsyncDisposable {
  readonly model: Bundle;
  /** Reads, checks and shows conditions; on this side, at once. */
  readonly condition: Condition;
  /** What computes, for people. */
  readonly engine: string;
  readonly #channel: Channel;

  private constructor(channel: Channel, { model, engine }: Loaded) {
    this.#channel = channel;
    this.model = model;
    this.engine = engine;
    this.condition = plainCondition(model.condition, model.size);
  }

  /** As `ImageGenerator.load`, in the worker. A worker has one model: another takes its place. */
  static async load(
    port: Port,
    source: ModelSource,
    { progress, signal }: Omit<LoadOptions, "engine"> = {},
  ): Promise<WorkerGenerator> {
    const channel = new Channel(port);
    const request = { kind: "load", source: source instanceof URL ? source.href : absolute(source) } as const;
    return new WorkerGenerator(channel, (await channel.ask(request, { onProgress: progress, signal })) as Loaded);
  }

  /** As `ImageGenerator.draw`. */
  async draw(conditions: readonly Uint8Array[], options: ImageOptions = {}): Promise<Uint8Array[][]> {
    const { signal, onProgress, ...rest } = options;
    const request = { kind: "draw", conditions, options: rest satisfies SentOptions } as const;
    return (await this.#channel.ask(request, { onProgress, signal })) as Uint8Array[][];
  }

  /** As `ImageGenerator.stream`. Drawing goes on while a frame is looked at; who leaves ends it. */
  async *stream(condition: Uint8Array, options: ImageOptions = {}): AsyncGenerator<Frame, void> {
    const { signal, onProgress, ...rest } = options;
    const control = new AbortController();
    const frames: Frame[] = [];
    let wake = () => {};
    const both = signal === undefined ? control.signal : AbortSignal.any([signal, control.signal]);
    let ended = false;
    const end = this.#channel
      .ask(
        { kind: "stream", condition, options: rest },
        {
          onProgress,
          signal: both,
          onFrame(frame) {
            frames.push(frame);
            wake();
          },
        },
      )
      .finally(() => {
        ended = true;
        wake();
      });
    end.catch(() => {}); // it is thrown below, unless nobody is there any more
    try {
      for (;;) {
        const frame = frames.shift();
        if (frame !== undefined) yield frame;
        else if (ended) break;
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
      await end;
    } finally {
      control.abort();
    }
  }

  /** Gives the model's memory back, after what is being drawn. The worker stays, and belongs to whoever made it. */
  async dispose(): Promise<void> {
    await this.#channel.ask({ kind: "dispose" }, {});
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/** Relative to the page, not to the worker's script. */
function absolute<S extends string | readonly File[]>(source: S): S | string {
  return typeof source === "string" && typeof document !== "undefined"
    ? new URL(source, document.baseURI).href
    : source;
}

/** Numbers of requests, unique among all generators that share a worker. */
let requests = 0;

/** Requests over a port, and their replies by number. */
class Channel {
  readonly #port: Port;
  readonly #waiting = new Map<number, (reply: Reply) => void>();

  constructor(port: Port) {
    this.#port = port;
    port.addEventListener("message", ({ data }) => this.#waiting.get((data as Reply).id)?.(data as Reply));
    // A MessagePort delivers nothing before.
    (port as { start?: () => void }).start?.();
  }

  async ask(request: Unnumbered<Request>, { onProgress, onFrame, signal }: Listener): Promise<unknown> {
    signal?.throwIfAborted();
    requests += 1;
    const id = requests;
    const abort = () => this.#port.postMessage({ id: 0, kind: "abort", of: id } satisfies Request, []);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting.set(id, (reply) => {
          if (reply.kind === "progress") onProgress?.(reply.done, reply.total);
          else if (reply.kind === "frame") onFrame?.(reply.frame);
          else if (reply.kind === "done") resolve(reply.value);
          else reject(signal?.aborted ? signal.reason : unpackError(reply.error));
        });
        this.#port.postMessage({ ...request, id }, []);
      });
    } finally {
      signal?.removeEventListener("abort", abort);
      this.#waiting.delete(id);
    }
  }
}
