import type { Frame, WorkerGenerator } from "@iqvae/runtime";
import type { Settings } from "./settings.ts";
import { partOf, partsOf, type Source } from "./source.ts";

/** All that pictures follow from. */
export interface Wish {
  readonly condition: Uint8Array;
  readonly settings: Settings;
  readonly source: Source;
}

export interface Watcher {
  /** A picture, or one on the way, for a place of the grid. */
  frame(place: number, frame: Pick<Frame, "pixels" | "share"> & { readonly tokens?: Int32Array }): void;
  begun(): void;
  /** All places are filled. @param seconds that it took */
  done(seconds: number): void;
  failed(error: Error): void;
}

class Dropped extends Error {}

/** Draws what was wished for last: a newer wish drops the older one. */
export class Drawer {
  readonly #generator: Pick<WorkerGenerator, "draw" | "stream">;
  readonly #watcher: Watcher;
  #control = new AbortController();
  #newest: { wish: Wish; place: number } | undefined;
  #previewing = false;

  constructor(generator: Pick<WorkerGenerator, "draw" | "stream">, watcher: Watcher) {
    this.#generator = generator;
    this.#watcher = watcher;
  }

  /** Draws one picture of a condition that is still being changed; of several such wishes the newest waits, the others are forgotten. */
  preview(wish: Wish, place: number): void {
    this.#newest = { wish, place };
    if (this.#previewing) return;
    const signal = this.#drop();
    this.#previewing = true;
    this.#previews(signal)
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        if (!signal.aborted) this.#previewing = false;
      });
  }

  /** Fills the grid. @param lead the place that comes first */
  draw(wish: Wish, lead: number): void {
    this.#newest = undefined;
    const signal = this.#drop();
    this.#watcher.begun();
    this.#all(wish, lead, signal).catch((error: unknown) => this.#fail(error));
  }

  /** Ends what is being drawn. */
  stop(): void {
    this.#newest = undefined;
    this.#drop();
  }

  #drop(): AbortSignal {
    this.#control.abort(new Dropped());
    this.#control = new AbortController();
    this.#previewing = false;
    return this.#control.signal;
  }

  async #previews(signal: AbortSignal): Promise<void> {
    while (this.#newest !== undefined && !signal.aborted) {
      const { wish, place } = this.#newest;
      this.#newest = undefined;
      const options = partOf(wish.source, wish.settings, place);
      const [images] = await this.#generator.draw([wish.condition], { ...options, signal });
      this.#watcher.frame(place, { pixels: images![0]!, share: 1 });
    }
  }

  async #all({ condition, source, settings }: Wish, lead: number, signal: AbortSignal): Promise<void> {
    const start = performance.now();
    for (const { from, options } of partsOf(source, settings, lead))
      for await (const { sample, ...frame } of this.#generator.stream(condition, { ...options, signal }))
        this.#watcher.frame(from + sample, frame);
    this.#watcher.done((performance.now() - start) / 1000);
  }

  #fail(error: unknown): void {
    if (!(error instanceof Dropped)) this.#watcher.failed(error as Error);
  }
}
