import { DisposedError } from "../errors.ts";
import { ImageGenerator } from "../generator.ts";
import { type Loaded, type Port, packError, type Reply, type Request } from "./protocol.ts";

/** Answers the requests that come in at a port, with one model at a time. */
export function serve(port: Port): void {
  const underWay = new Map<number, AbortController>();
  let generator: ImageGenerator | undefined;
  const send = (reply: Reply, transfer: ArrayBuffer[] = []) => port.postMessage(reply, transfer);

  const answer = async (request: Exclude<Request, { kind: "abort" }>, signal: AbortSignal) => {
    const { id } = request;
    const onProgress = (share: number) => send({ id, kind: "progress", done: share, total: 1 });
    switch (request.kind) {
      case "load": {
        await generator?.dispose();
        const progress = (done: number, total: number) => send({ id, kind: "progress", done, total });
        generator = await ImageGenerator.load(request.source, { progress, signal });
        return { model: generator.model, engine: generator.engine } satisfies Loaded;
      }
      case "draw":
      case "drawTokens": {
        const options = { ...request.options, onProgress, signal };
        return await expectLoaded(generator)[request.kind](request.conditions, options);
      }
      case "stream":
        for await (const frame of expectLoaded(generator).stream(request.condition, {
          ...request.options,
          onProgress,
          signal,
        }))
          send({ id, kind: "frame", frame }, [frame.pixels.buffer as ArrayBuffer]);
        return undefined;
      case "dispose":
        await generator?.dispose();
        generator = undefined;
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

function expectLoaded(generator: ImageGenerator | undefined): ImageGenerator {
  if (generator !== undefined) return generator;
  throw new DisposedError("no model is loaded in this worker; load one first");
}
