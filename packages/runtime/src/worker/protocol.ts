import type { Bundle } from "../bundle.ts";
import { DisposedError, ModelError, type ModelProblem } from "../errors.ts";
import type { ModelSource } from "../files.ts";
import type { Frame, ImageOptions } from "../generator.ts";

/** Options without what cannot be sent. */
export type SentOptions = Omit<ImageOptions, "signal" | "onProgress">;

/** What a page asks of a worker. Each has a number of its own, and `of` is the number of another: of the `load` of a model, or of what is to end. */
export type Request =
  | { readonly id: number; readonly kind: "load"; readonly source: Exclude<ModelSource, URL> }
  | {
      readonly id: number;
      readonly kind: "draw" | "drawTokens";
      readonly of: number;
      readonly conditions: readonly Uint8Array[];
      readonly options: SentOptions;
    }
  | {
      readonly id: number;
      readonly kind: "stream";
      readonly of: number;
      readonly condition: Uint8Array;
      readonly options: SentOptions;
    }
  | { readonly id: number; readonly kind: "dispose"; readonly of: number }
  | { readonly id: number; readonly kind: "abort"; readonly of: number };

/** What a worker answers: any number of `progress` and `frame`, then `done` or `failed`, all with the number of the request. */
export type Reply =
  | { readonly id: number; readonly kind: "progress"; readonly done: number; readonly total: number }
  | { readonly id: number; readonly kind: "frame"; readonly frame: Frame }
  | { readonly id: number; readonly kind: "done"; readonly value: Loaded | Uint8Array[][] | Int32Array[] | undefined }
  | { readonly id: number; readonly kind: "failed"; readonly error: SentError };

export interface Loaded {
  /** The number of the request, by which later ones name the model. */
  readonly id: number;
  readonly model: Bundle;
  readonly engine: string;
}

/** An error as plain data: of the classes only the language's own survive the way. */
interface SentError {
  readonly name: string;
  readonly message: string;
  readonly file?: string;
  readonly problem?: ModelProblem;
}

export function packError(error: unknown): SentError {
  if (error instanceof ModelError) {
    const { name, message, file, problem } = error;
    return { name, message: message.slice(`${file}: `.length), file, problem };
  }
  return error instanceof Error
    ? { name: error.name, message: error.message }
    : { name: "Error", message: String(error) };
}

export function unpackError({ name, message, file, problem }: SentError): Error {
  if (file !== undefined && problem !== undefined) return new ModelError(file, problem, message);
  switch (name) {
    case "RangeError":
      return new RangeError(message);
    case "TypeError":
      return new TypeError(message);
    case "DisposedError":
      return new DisposedError(message);
    default:
      return Object.assign(new Error(message), { name });
  }
}

/** One end of a channel: a worker, a worker's own scope, or a `MessagePort`. */
export interface Port {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  addEventListener(kind: "message" | "error", listener: (event: Event) => void): void;
  removeEventListener(kind: "message" | "error", listener: (event: Event) => void): void;
}
