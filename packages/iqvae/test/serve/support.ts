import { fileURLToPath } from "node:url";
import { openModels } from "../../src/serve/catalog.ts";
import { answerOrders } from "../../src/serve/drawer/answer.ts";
import { type DrawEvents, type Drawer, RemoteDrawer } from "../../src/serve/drawer/drawer.ts";
import { loadModel } from "../../src/serve/drawer/load.ts";
import type { Channel, Drawn, Order, Part, Reply } from "../../src/serve/drawer/protocol.ts";
import { LIMITS, type Limits } from "../../src/serve/limits.ts";
import { type RunningServer, type ServerOptions, startServer } from "../../src/serve/server.ts";

/** The model in the box. */
export const START = fileURLToPath(new URL("../../../../models/start", import.meta.url));
export const models = openModels([START]);
export const start = models.get("start")!;

/** A drawer with a channel in between, in this process: what goes through is copied, as between processes. */
export async function nearDrawer(): Promise<Drawer> {
  const listeners: { orders: ((order: Order) => void)[]; replies: ((reply: Reply) => void)[] } = {
    orders: [],
    replies: [],
  };
  const channel = <Out, In>(out: ((message: Out) => void)[], into: ((message: In) => void)[]): Channel<Out, In> => ({
    send(message) {
      const copy = structuredClone(message);
      setImmediate(() => {
        for (const listener of out) listener(copy);
      });
    },
    onMessage: (listener) => void into.push(listener),
  });
  // Not with libtorch: what is drawn is then that of the runtime to the last bit.
  answerOrders(channel(listeners.replies, listeners.orders), (place) => loadModel(place, false));
  const drawer = new RemoteDrawer(channel(listeners.orders, listeners.replies), () => {});
  await drawer.load([...models.values()]);
  return drawer;
}

/** A batch that a test decides about. */
export interface HeldBatch {
  readonly model: string;
  readonly parts: readonly Part[];
  readonly events: DrawEvents;
  readonly dropped: Set<number>;
  /** Ends it: each sample is one byte, its number. */
  finish(): void;
  fail(error: Error): void;
}

/** Draws nothing, but holds batches until a test ends them. */
export class HeldDrawer implements Drawer {
  readonly engines = { start: "held" };
  readonly batches: HeldBatch[] = [];
  ended = false;
  #came = () => {};

  draw(model: string, parts: readonly Part[], events: DrawEvents): Promise<readonly Drawn[]> {
    return new Promise((resolve, reject) => {
      const dropped = new Set<number>();
      const finish = () =>
        resolve(
          parts.map(({ first, count, sampling }, part): Drawn => {
            if (dropped.has(part)) return { kind: "dropped" };
            if (sampling.temperature === 13) return { kind: "refused", message: "temperature 13" };
            const pictures = Array.from({ length: count }, (_, i) => ({
              sample: first + i,
              pixels: new Uint8Array(start.size ** 2 * 3).fill(first + i),
            }));
            return { kind: "pictures", pictures };
          }),
        );
      this.batches.push({ model, parts, events, dropped, finish, fail: reject });
      this.#came();
    });
  }

  drop(part: number): void {
    this.batches.at(-1)!.dropped.add(part);
  }

  end(): void {
    this.ended = true;
  }

  /** Resolves when a batch of this number has come. */
  async batch(number: number): Promise<HeldBatch> {
    while (this.batches.length <= number)
      await new Promise<void>((resolve) => {
        this.#came = resolve;
      });
    return this.batches[number]!;
  }
}

/** A server at a free port of this machine. */
export async function serverWith(
  options: Partial<Omit<ServerOptions, "limits">> & { readonly limits?: Partial<Limits> } = {},
): Promise<RunningServer> {
  return await startServer({
    models,
    host: "127.0.0.1",
    port: 0,
    token: undefined,
    drawers: 1,
    page: undefined,
    log: () => {},
    start: nearDrawer,
    ...options,
    limits: { ...LIMITS, ...options.limits },
  });
}

/** Asks for images; the body is JSON unless it is a text. */
export function post(
  { url }: Pick<RunningServer, "url">,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
  signal?: AbortSignal,
): Promise<Response> {
  return fetch(`${url}v1/images`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...(signal && { signal }),
  });
}

export const EXAMPLE = { kind: "example", number: 0 } as const;
