/** What an editor tells the page. */
export interface Listener {
  /** The condition is another one now. @param ended whether the stroke is, too: then it can be undone as one */
  changed(ended: boolean): void;
  /** Something that somebody tried did not work. */
  problem(error: Error): void;
}

/** Where a condition of one kind is made by hand. */
export interface Editor {
  /** What is painted on, or written in. */
  readonly surface: HTMLElement;
  /** Tools beside it. */
  readonly tools: HTMLElement;
  /** What stands above it. */
  readonly title: string;
  /** What to do, in one sentence. */
  readonly hint: string;
  /** How it is done by keys. */
  readonly keys: string;
  /** Bytes of an empty condition. */
  readonly blank: Uint8Array;
  /** Bytes of the condition as it is; `undefined` while there is nothing to draw for. */
  value(): Uint8Array | undefined;
  /** Takes another condition, an empty one too. */
  show(bytes: Uint8Array): void;
  /** A key that no field took, by what it types. @returns whether it meant something */
  key?(character: string): boolean;
  /** Lays a photo under the surface, or takes it away. */
  trace?(photo: ImageBitmap | undefined): void;
  /** Makes a condition of a photo. */
  convert?(photo: ImageBitmap): Promise<void>;
  /** Ends what goes on by itself: another model takes the page. */
  close?(): void;
}
