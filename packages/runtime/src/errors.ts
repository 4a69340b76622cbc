/** What is wrong with an exported model: it is not there, it is damaged, or this version does not know it. */
export type ModelProblem = "missing" | "damaged" | "unknown format";

/** A file of an exported model that cannot be used: which, why, and what to do. */
export class ModelError extends Error {
  override readonly name = "ModelError";
  constructor(
    readonly file: string,
    readonly problem: ModelProblem,
    reason: string,
    options?: ErrorOptions,
  ) {
    super(`${file}: ${reason}`, options);
  }
}

/** Something was asked of a generator after its `dispose`. */
export class DisposedError extends Error {
  override readonly name = "DisposedError";
}
