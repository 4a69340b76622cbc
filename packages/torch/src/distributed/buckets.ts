import { COUNT, expectOptions, tensorsOf } from "../given.ts";
import { native } from "../native.ts";
import type { Tensor } from "../tensor.ts";
import { collective, processGroup } from "./group.ts";

/**
 * Long enough for the bandwidth of what they travel by, short enough that the first is under way early: by NCCL as PyTorch's, by Gloo some
 * milliseconds of a loopback.
 */
const BUCKET_BYTES = { cpu: 4 * 2 ** 20, others: 25 * 2 ** 20 };

/**
 * The gradients of parameters, which become means over all ranks. On the CPUs of one machine they lie in memory that all ranks see, and are added
 * up there. Otherwise they are few long messages, each sent as soon as the backward pass has all that goes into it, and so while it computes the rest.
 *
 *     gradients.arm();
 *     loss.backward(); // of several passes whose gradients add up, the last
 *     gradients.finish();
 *
 * Buckets are filled with the parameters from the last to the first, as a backward pass comes to them. The layout follows from
 * the list alone, so that a training that goes on rounds as one that was not interrupted. The gradients are views of the buckets then, until
 * the next {@link arm}: nothing is copied back. In a group of one nothing happens.
 */
export class GradientBuckets {
  #buckets: number | undefined;

  /**
   * @param parameters float32 leaves, the same list on all ranks
   * @param options.bytes about how many bytes a message has; default: 4 MiB on the CPU, else 25
   */
  constructor(parameters: Iterable<Tensor>, options: { bytes?: number } = {}) {
    expectOptions("GradientBuckets", options, { bytes: COUNT });
    const all = tensorsOf("GradientBuckets: the parameters", parameters).reverse();
    if ((processGroup()?.size ?? 1) === 1) return;
    const usual = all[0]?.device === "cpu" ? BUCKET_BYTES.cpu : BUCKET_BYTES.others;
    const handles = all.map(({ handle }) => handle);
    this.#buckets = native.createBuckets(handles, options.bytes ?? usual);
    registry.register(this, this.#buckets, this);
  }

  /** Says that the next backward pass brings the last gradients of a step. */
  arm(): void {
    if (this.#buckets !== undefined) native.armBuckets(this.#buckets);
  }

  /**
   * Waits until the gradients are the means over all ranks. A parameter that has none keeps none; it must have none on all ranks.
   *
   * @throws GroupError as every collective; Error for other parameters, or other gradients, on other ranks
   */
  finish(): void {
    const buckets = this.#buckets;
    if (buckets !== undefined) collective("GradientBuckets", () => native.finishBuckets(buckets));
  }

  /** Gradients are left alone from now on. The memory goes with the last of them. */
  dispose(): void {
    if (this.#buckets === undefined) return;
    registry.unregister(this);
    native.releaseBuckets(this.#buckets);
    this.#buckets = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

const registry = new FinalizationRegistry((buckets: number) => native.releaseBuckets(buckets));
