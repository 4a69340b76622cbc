/** What can be wrong with a file; the words are those of the summary of an import. */
export type FileProblemKind =
  | "unreadable file"
  | "corrupt file"
  | "unsuitable format"
  | "too large"
  | "size mismatch"
  | "bad annotation"
  | "unknown class or color";

/** Why a file cannot be used. The message begins with its path. */
export class FileProblem extends RangeError {
  override readonly name = "FileProblem";
  readonly kind: FileProblemKind;

  constructor(kind: FileProblemKind, reason: string, options?: ErrorOptions) {
    super(reason, options);
    this.kind = kind;
  }
}
