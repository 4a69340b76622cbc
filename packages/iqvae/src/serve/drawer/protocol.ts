import type { SampleOptions } from "@iqvae/runtime";

/** A model to draw with. */
export interface ModelPlace {
  readonly name: string;
  readonly folder: string;
  /** A folder that `iqvae export` wrote, or a run. */
  readonly kind: "exported" | "run";
}

/** What a sample depends on, besides its condition and its number. */
export type Sampling = Required<Pick<SampleOptions, "seed" | "temperature" | "topP" | "guidance">> &
  Pick<SampleOptions, "topK">;

/** Some samples of one condition. */
export interface Part {
  /** Bytes, as the model's kind of condition has them. */
  readonly condition: Uint8Array;
  readonly sampling: Sampling;
  /** The number of the first sample, and how many there are. */
  readonly first: number;
  readonly count: number;
  /** Whether unfinished images are wanted on the way. */
  readonly frames: boolean;
}

/** What the server asks of a process that draws. */
export type Order =
  | { readonly kind: "load"; readonly models: readonly ModelPlace[] }
  | { readonly kind: "draw"; readonly model: string; readonly parts: readonly Part[] }
  /** Nobody waits for a part of what is being drawn any more. */
  | { readonly kind: "drop"; readonly part: number };

/** What such a process answers. It draws one batch at a time, so replies do not say which they belong to. */
export type Reply =
  /** What draws with each model, for people. */
  | { readonly kind: "loaded"; readonly engines: Readonly<Record<string, string>> }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "progress"; readonly share: number }
  | ({ readonly kind: "frame"; readonly part: number; readonly share: number } & Picture)
  | { readonly kind: "drawn"; readonly parts: readonly Drawn[] };

/** RGB bytes `[size, size, 3]` of a sample. */
export interface Picture {
  readonly sample: number;
  readonly pixels: Uint8Array;
}

/** What came of a part. */
export type Drawn =
  | { readonly kind: "pictures"; readonly pictures: readonly Picture[] }
  | { readonly kind: "dropped" }
  | { readonly kind: "refused"; readonly message: string };

/** One end of a channel between the server and a process that draws. */
export interface Channel<Out, In> {
  send(message: Out): void;
  onMessage(listener: (message: In) => void): void;
}
