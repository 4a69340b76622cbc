import type { Picture } from "./drawer/protocol.ts";

/** What comes of a request while it is drawn. */
export type DrawEvent =
  | { readonly kind: "progress"; readonly share: number }
  /** An unfinished image. */
  | ({ readonly kind: "frame"; readonly share: number } & Picture)
  | ({ readonly kind: "image" } & Picture);

/**
 * Events on their way to one reader. One that is slow finds what is outdated left out: of progress and of each image only the newest is
 * kept, so that a reader who never comes costs no more than the images that were asked for.
 */
export class Mailbox implements AsyncIterable<DrawEvent> {
  readonly #events: DrawEvent[] = [];
  readonly #onEnd: () => void;
  #end: { readonly error: unknown } | undefined;
  #wake = () => {};

  /** @param onEnd called once, at the end */
  constructor(onEnd: () => void = () => {}) {
    this.#onEnd = onEnd;
  }

  get ended(): boolean {
    return this.#end !== undefined;
  }

  push(event: DrawEvent): void {
    if (this.#end !== undefined) return;
    const outdated = this.#events.findIndex((old) =>
      event.kind === "progress" ? old.kind === "progress" : old.kind === "frame" && old.sample === event.sample,
    );
    if (outdated >= 0) this.#events.splice(outdated, 1);
    this.#events.push(event);
    this.#wake();
  }

  /** Nothing comes any more. @param error what the reader is to be told, unless all went well */
  end(error?: unknown): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    this.#onEnd();
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<DrawEvent, void> {
    for (;;) {
      // Who was aborted wants no images that were drawn before.
      if (this.#end?.error !== undefined) throw this.#end.error;
      const event = this.#events.shift();
      if (event !== undefined) yield event;
      else if (this.#end !== undefined) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}
