import { callOperator, hasOperator } from "./ops.ts";
import { scope } from "./scope.ts";

const call = (name: string, ...args: unknown[]): unknown => callOperator(`cuda_graph::${name}`, ...args);

/** Whether work of CUDA devices can be recorded: by a libtorch with CUDA, if the addon was built with CUDA's headers. */
export function cudaGraphsAreAvailable(): boolean {
  return hasOperator("cuda_graph::available") && call("available") === true;
}

/**
 * Work of a CUDA device that is recorded once and then launched as a whole, without the calls of its operators, which is what small
 * tensors wait for.
 *
 *     const graph = new CudaGraph("cuda:0", () => void y.copy_(layer.forward(x)));
 *     x.copy_(next);
 *     graph.replay(); // y is that of the new x
 *
 * The body runs twice, the second time to be recorded. It must do the same to the same tensors each time: no numbers read back, no
 * shapes that depend on values, no random numbers. What it makes is released; results go into tensors that were there before.
 */
export class CudaGraph implements Disposable {
  readonly #number: number;
  #live = true;

  /**
   * @param device with its number, as `cuda:0`: that of all tensors
   * @throws Error when the body does what cannot be recorded, such as reading a number, or where there are no graphs
   */
  constructor(device: string, body: () => void) {
    const number = call("open", device.includes(":") ? device : `${device}:0`) as number;
    let recorded = false;
    try {
      // Libraries make what they need at the first call, which cannot be recorded.
      scope(body);
      record(number, body);
      recorded = true;
    } finally {
      call("close", number);
      if (!recorded) call("release", number);
    }
    this.#number = number;
    registry.register(this, number, this);
  }

  /** Does the work again, after all that the device was given before. */
  replay(): void {
    if (!this.#live) throw new Error("CudaGraph.replay: this graph was disposed");
    call("replay", this.#number);
  }

  /** Gives back the memory that the work takes. */
  dispose(): void {
    if (!this.#live) return;
    this.#live = false;
    registry.unregister(this);
    call("release", this.#number);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function record(number: number, body: () => void): void {
  call("begin", number);
  try {
    scope(body);
  } catch (error) {
    try {
      call("end", number);
    } catch {
      // That the recording is not whole follows from the body's error.
    }
    throw error;
  }
  call("end", number);
}

const registry = new FinalizationRegistry((number: number) => void call("release", number));
