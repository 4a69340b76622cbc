/** What an editor tells the page. */
export interface Listener {
  /** The condition is another one now. @param ended whether the stroke is, too: then it can be undone as one */
  changed(ended: boolean): void;
}

/** Where a condition of one kind is made by hand. */
export interface Editor {
  /** What is painted on, or written in. */
  readonly surface: HTMLElement;
  /** Tools beside it. */
  readonly tools: HTMLElement;
  /** Bytes of the condition as it is; `undefined` while there is nothing to draw for. */
  value(): Uint8Array | undefined;
  /** Takes another condition. */
  show(bytes: Uint8Array): void;
  /** Bytes of an empty condition. */
  readonly blank: Uint8Array;
  /** What to do, in one sentence. */
  readonly hint: string;
  /** A key that no field took. @returns whether it meant something */
  key?(event: KeyboardEvent): boolean;
  /** Lays a photo under the surface, or makes a condition of it. */
  trace?(photo: ImageBitmap): void;
  /** Gives up what goes on by itself. */
  close?(): void;
}

/** A count and a noun in its number. */
export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;
