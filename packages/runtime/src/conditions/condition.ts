import type { ConditionKind } from "./spec.ts";

/**
 * How one kind of condition enters the network, and what people see of it. A sample is bytes of a fixed shape `[…]`; the encoder
 * sees planes.
 */
export interface Condition {
  readonly kind: ConditionKind;
  /** The shape of a sample's bytes. */
  readonly shape: readonly number[];
  /** Height and width of planes; height 1 says that the condition is a sequence. */
  readonly planes: readonly [height: number, width: number];
  /** Channels of what the encoder sees. */
  readonly inputChannels: number;
  /** What the encoder sees of a sample `[…]`: float32 `[H, W, inputChannels]`. */
  planesOf(sample: Uint8Array): Float32Array;
  /**
   * @param sample bytes `[…]`
   * @throws RangeError that says which byte means nothing, and what would
   */
  check(sample: Uint8Array): void;
  /**
   * A picture for people.
   *
   * @returns RGB bytes `[side, side, 3]`
   * @throws RangeError as {@link check}
   */
  draw(sample: Uint8Array, side: number): Uint8Array;
  /** In words and numbers, on one line. What means nothing is told as it is. @throws RangeError for other than the shape's bytes */
  describe(sample: Uint8Array): string;
  /** How well `guess` agrees with `truth`, by name; every figure in [0, 1], 1 for equal samples. @throws as {@link describe} */
  fidelity(truth: Uint8Array, guess: Uint8Array): Readonly<Record<string, number>>;
}
