import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Channel, Drawn, ModelPlace, Order, Part, Picture, Reply } from "./protocol.ts";

/** What is told while a batch is drawn. */
export interface DrawEvents {
  onProgress(share: number): void;
  onFrame(part: number, share: number, picture: Picture): void;
}

/** What draws was lost: it ended, or could not go on. */
export class DrawerError extends Error {
  override readonly name = "DrawerError";
}

/** What draws batches, one at a time, somewhere else than in the process that answers requests. */
export interface Drawer {
  /** What draws with each model, for people. */
  readonly engines: Readonly<Record<string, string>>;
  /** @throws DrawerError when what draws was lost */
  draw(model: string, parts: readonly Part[], events: DrawEvents): Promise<readonly Drawn[]>;
  /** Nobody waits for a part of the present batch any more. */
  drop(part: number): void;
  end(): void;
}

/** A drawer at the other end of a channel. `lost` is called when nothing can come from there any more. */
export class RemoteDrawer implements Drawer {
  readonly #channel: Channel<Order, Reply>;
  readonly #end: () => void;
  #engines: Readonly<Record<string, string>> = {};
  #events: DrawEvents | undefined;
  #waiting: { resolve: (reply: Reply) => void; reject: (error: Error) => void } | undefined;
  #lost: DrawerError | undefined;

  constructor(channel: Channel<Order, Reply>, end: () => void) {
    this.#channel = channel;
    this.#end = end;
    channel.onMessage((reply) => this.#hear(reply));
  }

  get engines(): Readonly<Record<string, string>> {
    return this.#engines;
  }

  /** @throws DrawerError that says which model cannot be used, and why */
  async load(models: readonly ModelPlace[]): Promise<void> {
    // No more of them than is sent: a served model has functions.
    const places = models.map(({ name, folder, kind }) => ({ name, folder, kind }));
    const reply = await this.#ask({ kind: "load", models: places });
    if (reply.kind === "loaded") this.#engines = reply.engines;
  }

  async draw(model: string, parts: readonly Part[], events: DrawEvents): Promise<readonly Drawn[]> {
    this.#events = events;
    const reply = await this.#ask({ kind: "draw", model, parts });
    return reply.kind === "drawn" ? reply.parts : [];
  }

  drop(part: number): void {
    if (this.#lost === undefined) this.#channel.send({ kind: "drop", part });
  }

  end(): void {
    this.lose(new DrawerError("the server has ended"));
    this.#end();
  }

  /** To be called when nothing can come from the other end any more. */
  lose(error: DrawerError): void {
    this.#lost ??= error;
    this.#waiting?.reject(this.#lost);
    this.#waiting = undefined;
  }

  #ask(order: Order): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#lost !== undefined) return reject(this.#lost);
      this.#waiting = { resolve, reject };
      this.#channel.send(order);
    });
  }

  #hear(reply: Reply): void {
    switch (reply.kind) {
      case "progress":
        this.#events?.onProgress(reply.share);
        return;
      case "frame":
        this.#events?.onFrame(reply.part, reply.share, reply);
        return;
      case "failed":
        this.#waiting?.reject(new DrawerError(reply.message));
        break;
      default:
        this.#waiting?.resolve(reply);
    }
    this.#waiting = undefined;
  }
}

const ENTRY = fileURLToPath(new URL("./entry.js", import.meta.url));

/**
 * Starts a process that draws: what it computes blocks nobody who waits for an answer, and what ends it does not end the server.
 *
 * @param onLost called when it ends by itself
 * @throws DrawerError when it cannot be started, or a model cannot be loaded
 */
export async function startDrawer(models: readonly ModelPlace[], onLost: (reason: string) => void): Promise<Drawer> {
  const child = fork(ENTRY, { serialization: "advanced", stdio: ["ignore", "inherit", "inherit", "ipc"] });
  let ready = false;
  const drawer = new RemoteDrawer(channelTo(child), () => {
    ready = false;
    child.kill("SIGKILL");
  });
  child.on("error", (error) => drawer.lose(new DrawerError(`a process that draws failed: ${error.message}`)));
  child.on("exit", (code, signal) => {
    const reason = `a process that draws ended with ${signal ?? `code ${code}`}`;
    drawer.lose(new DrawerError(reason));
    if (ready) onLost(reason);
  });
  try {
    await drawer.load(models);
  } catch (error) {
    drawer.end();
    throw error;
  }
  ready = true;
  return drawer;
}

function channelTo(child: ChildProcess): Channel<Order, Reply> {
  return {
    send(order) {
      // That it is gone is told by its exit.
      if (child.connected) child.send(order, () => {});
    },
    onMessage: (listener) => child.on("message", (reply) => listener(reply as Reply)),
  };
}
