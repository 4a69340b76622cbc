import { type Bundle, examplesOf } from "../bundle.ts";
import type { Condition } from "../conditions/condition.ts";
import { plainCondition } from "../conditions/index.ts";
import { DisposedError } from "../errors.ts";
import { baseAddress, isUrl, type ModelSource } from "../files.ts";
import type { Frame, ImageOptions, LoadOptions } from "../generator.ts";
import { onAbort } from "../queue.ts";
import { type Loaded, type Port, type Reply, type Request, type SentOptions, unpackError } from "./protocol.ts";

type Unnumbered<R> = R extends { readonly id: number } ? Omit<R, "id"> : never;

/** What comes back of one request. */
interface Listener {
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly onFrame?: (frame: Frame) => void;
  readonly signal?: AbortSignal | undefined;
}

/** How to load a model into a worker. */
export interface WorkerOptions extends Omit<LoadOptions, "engine"> {
  /** A worker, or a `MessagePort` with `serve` at its other end. Default: a worker of its own, which ends with `dispose`. */
  readonly worker?: Port;
}

/** An `ImageGenerator` in a worker, so that the page never waits. */
export class WorkerGenerator implements AsyncDisposable {
  readonly model: Bundle;
  /** Reads, checks and shows conditions; on this side, at once. */
  readonly condition: Condition;
  /** What computes, for people. */
  readonly engine: string;
  readonly #channel: Channel;
  /** The number of the model in its worker. */
  readonly #id: number;
  readonly #end: () => void;
  #disposed: Promise<void> | undefined;

  private constructor(channel: Channel, { id, model, engine }: Loaded, end: () => void) {
    this.#channel = channel;
    this.#id = id;
    this.#end = end;
    this.model = model;
    this.engine = engine;
    this.condition = plainCondition(model.condition, model.size);
  }

  /** As `ImageGenerator.load`, in the worker. A worker has one model: another takes its place. */
  static async load(source: ModelSource, options: WorkerOptions = {}): Promise<WorkerGenerator> {
    const { worker, progress, signal } = options;
    const own = worker === undefined ? startWorker() : undefined;
    const channel = new Channel(worker ?? own!);
    const request = { kind: "load", source: isUrl(source) ? source.href : absolute(source) } as const;
    try {
      const loaded = (await channel.ask(request, { onProgress: progress, signal })) as Loaded;
      return new WorkerGenerator(channel, loaded, () => own?.terminate());
    } catch (error) {
      channel.close();
      own?.terminate();
      throw error;
    }
  }

  /** As `ImageGenerator.examples`. */
  get examples(): Uint8Array[] {
    return examplesOf(this.model);
  }

  /** As `ImageGenerator.draw`. */
  async draw(conditions: readonly Uint8Array[], options: ImageOptions = {}): Promise<Uint8Array[][]> {
    return (await this.#all("draw", conditions, options)) as Uint8Array[][];
  }

  /** As `ImageGenerator.drawTokens`. */
  async drawTokens(conditions: readonly Uint8Array[], options: ImageOptions = {}): Promise<Int32Array[]> {
    return (await this.#all("drawTokens", conditions, options)) as Int32Array[];
  }

  /** As `ImageGenerator.stream`. Drawing goes on while a frame is looked at; who leaves ends it. */
  stream(condition: Uint8Array, options: ImageOptions = {}): AsyncGenerator<Frame, void> {
    this.condition.check(condition);
    return this.#stream(new Uint8Array(condition), options);
  }

  async *#stream(condition: Uint8Array, options: ImageOptions): AsyncGenerator<Frame, void> {
    const { signal, onProgress, ...rest } = options;
    const control = new AbortController();
    const frames: Frame[] = [];
    let wake = () => {};
    // `AbortSignal.any` would do it, but browsers have had it since 2024 only.
    const forward = () => control.abort(signal!.reason);
    if (signal?.aborted) forward();
    const forget = signal && onAbort(signal, forward);
    let ended = false;
    const end = this.#channel
      .ask(
        { kind: "stream", of: this.#id, condition, options: rest },
        {
          onProgress,
          signal: control.signal,
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
      forget?.();
      control.abort();
    }
  }

  #all(kind: "draw" | "drawTokens", conditions: readonly Uint8Array[], options: ImageOptions): Promise<unknown> {
    const { signal, onProgress, ...rest } = options;
    const request = { kind, of: this.#id, conditions, options: rest satisfies SentOptions };
    return this.#channel.ask(request, { onProgress, signal });
  }

  /** Gives the model's memory back, after what is being drawn. A worker that was handed in stays. Once more, it does nothing more. */
  dispose(): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    const answered = this.#channel.ask({ kind: "dispose", of: this.#id }, {});
    this.#channel.refuse();
    try {
      await answered;
    } finally {
      this.#channel.close();
      this.#end();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/** The worker of this package; bundlers know this form. */
function startWorker(): Worker {
  if (typeof Worker === "undefined")
    throw new Error(
      "WorkerGenerator starts a worker as browsers have them, and there are none here, as in Node.js; " +
        "hand in `worker`, or use ImageGenerator",
    );
  try {
    return new Worker(new URL("./entry.js", import.meta.url), { type: "module" });
  } catch (cause) {
    // The script is of another origin, or of a bundle that does not know its address.
    throw new Error(`the worker of @iqvae/runtime cannot be started (${(cause as Error).message}); ${REMEDY}`, {
      cause,
    });
  }
}

const REMEDY = 'hand in `worker`, as "Bundlers" in the README of @iqvae/runtime tells';

/** Relative to the page, not to the worker's script. */
function absolute<S extends Exclude<ModelSource, URL>>(source: S): S | string {
  const base = baseAddress();
  return typeof source === "string" && base !== undefined ? new URL(source, base).href : source;
}

function disposed(): DisposedError {
  return new DisposedError("this WorkerGenerator was disposed of, so it cannot draw; load the model again");
}

/** Numbers of requests, unique among all generators that share a worker. */
let requests = 0;

/** Requests over a port, and their replies by number. */
class Channel {
  readonly #port: Port;
  readonly #waiting = new Map<number, { settle: (reply: Reply) => void; fail: (error: Error) => void }>();
  #refuses = false;

  constructor(port: Port) {
    this.#port = port;
    port.addEventListener("message", this.#hear);
    port.addEventListener("error", this.#fail);
    // A MessagePort delivers nothing before.
    (port as { start?: () => void }).start?.();
  }

  readonly #hear = (event: Event): void => {
    const reply = (event as MessageEvent).data as Reply;
    this.#waiting.get(reply.id)?.settle(reply);
  };

  /** Of a worker that ran out of memory, say, or whose script cannot be loaded: then browsers tell nothing. */
  readonly #fail = (event: Event): void => {
    const message =
      (event as ErrorEvent).message ??
      `its script cannot be loaded, as where a bundler left it out or a content security policy forbids it; ${REMEDY}`;
    this.#failAll(new Error(`the worker of @iqvae/runtime failed: ${message}`));
  };

  /** Takes no more requests; those that were made are answered. */
  refuse(): void {
    this.#refuses = true;
  }

  /** Ends it. What waits for an answer gets none any more, and is told. */
  close(): void {
    this.refuse();
    this.#port.removeEventListener("message", this.#hear);
    this.#port.removeEventListener("error", this.#fail);
    this.#failAll(disposed());
  }

  #failAll(error: Error): void {
    for (const { fail } of this.#waiting.values()) fail(error);
  }

  async ask(request: Unnumbered<Request>, { onProgress, onFrame, signal }: Listener): Promise<unknown> {
    signal?.throwIfAborted();
    if (this.#refuses) throw disposed();
    requests += 1;
    const id = requests;
    let forget = () => {};
    try {
      return await new Promise((resolve, reject) => {
        // At once, and not when the worker has heard of it: what it still sends has no listener any more.
        const giveUp = (reason: unknown) => {
          this.#port.postMessage({ id: 0, kind: "abort", of: id } satisfies Request, []);
          reject(reason);
        };
        if (signal !== undefined) forget = onAbort(signal, () => giveUp(signal.reason));
        const progress = (done: number, total: number) => {
          try {
            onProgress?.(done, total);
          } catch (error) {
            giveUp(error); // as without a worker
          }
        };
        const settle = (reply: Reply) => {
          if (reply.kind === "progress") progress(reply.done, reply.total);
          else if (reply.kind === "frame") onFrame?.(reply.frame);
          else if (reply.kind === "done") resolve(reply.value);
          else reject(unpackError(reply.error));
        };
        this.#waiting.set(id, { settle, fail: reject });
        this.#port.postMessage({ ...request, id }, []);
      });
    } finally {
      forget();
      this.#waiting.delete(id);
    }
  }
}
