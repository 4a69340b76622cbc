import { DisposedError } from "../errors.ts";
import { ImageGenerator } from "../generator.ts";
import { Turns } from "../queue.ts";
import { type Loaded, type Port, packError, type Reply, type Request } from "./protocol.ts";

/**
 * Answers the requests that come in at a port, with one model at a time.
 *
 * @param port default: that of the worker which calls it
 */
export function serve(port: Port = globalThis as unknown as Port): void {
  const underWay = new Map<number, AbortController>();
  const loads = new Turns();
  let loaded: LoadedModel | undefined;
  const send = (reply: Reply, transfer: ArrayBuffer[] = []) => port.postMessage(reply, transfer);

  const answer = async (request: Exclude<Request, { kind: "abort" }>, signal: AbortSignal) => {
    const { id } = request;
    const onProgress = (share: number) => send({ id, kind: "progress", done: share, total: 1 });
    switch (request.kind) {
      case "load": {
        const end = await loads.take(signal);
        try {
          await loaded?.generator.dispose();
          loaded = undefined;
          const progress = (done: number, total: number) => send({ id, kind: "progress", done, total });
          const generator = await ImageGenerator.load(request.source, { progress, signal });
          loaded = { id, generator };
          return { id, model: generator.model, engine: generator.engine } satisfies Loaded;
        } finally {
          end();
        }
      }
      case "draw":
      case "drawTokens": {
        const options = { ...request.options, onProgress, signal };
        return await expectLoaded(loaded, request.of)[request.kind](request.conditions, options);
      }
      case "stream":
        for await (const frame of expectLoaded(loaded, request.of).stream(request.condition, {
          ...request.options,
          onProgress,
          signal,
        }))
          send({ id, kind: "frame", frame }, [frame.pixels.buffer as ArrayBuffer]);
        return undefined;
      case "dispose":
        // Another may have taken its place, which others draw with.
        if (loaded?.id === request.of) {
          const { generator } = loaded;
          loaded = undefined;
          await generator.dispose();
        }
        return undefined;
    }
  };

  port.addEventListener("message", (event) => {
    const request = (event as MessageEvent).data as Request;
    if (request.kind === "abort") {
      underWay.get(request.of)?.abort();
      return;
    }
    const control = new AbortController();
    underWay.set(request.id, control);
    answer(request, control.signal)
      .then(
        (value) => send({ id: request.id, kind: "done", value }),
        (error: unknown) => send({ id: request.id, kind: "failed", error: packError(error) }),
      )
      .finally(() => underWay.delete(request.id));
  });
}

/** A model, and the number of the request that loaded it. */
interface LoadedModel {
  readonly id: number;
  readonly generator: ImageGenerator;
}

function expectLoaded(loaded: LoadedModel | undefined, id: number): ImageGenerator {
  if (loaded?.id === id) return loaded.generator;
  throw new DisposedError(
    loaded === undefined
      ? "no model is loaded in this worker; load one first"
      : "another model took the place of this one in its worker; load it again, or each into a worker of its own",
  );
}
