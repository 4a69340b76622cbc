import { noGrad, type Tensor, unscoped } from "@iqvae/torch";

/** Steps of a GPU that share a reading, which waits for all work that is under way. */
const STEPS_A_READING = 10;

/**
 * Means of scalars that are computed on a device, read back at every step on the CPU and now and then elsewhere.
 */
export class RunningMeans {
  readonly #every: number;
  readonly #sums = new Map<string, { sum: Tensor; count: number }>();
  #added = 0;
  #last: Record<string, number> = {};

  /** @param device of the scalars */
  constructor(device: string) {
    this.#every = device === "cpu" ? 1 : STEPS_A_READING;
  }

  /** Takes scalars in and gives the means of the last reading; the first call reads at once. */
  add<K extends string>(values: Readonly<Record<K, Tensor>>): Record<K, number> {
    noGrad(() => {
      for (const [name, value] of Object.entries<Tensor>(values)) {
        const entry = this.#sums.get(name);
        if (entry === undefined) {
          const plain = value.detach().to("float32");
          const sum = unscoped(() => plain.clone());
          this.#sums.set(name, { sum, count: 1 });
        } else {
          entry.sum.add_(value);
          entry.count += 1;
        }
      }
    });
    this.#added += 1;
    if (this.#added >= this.#every || Object.keys(this.#last).length === 0) this.#read();
    return this.#last as Record<K, number>;
  }

  #read(): void {
    this.#last = {};
    for (const [name, { sum, count }] of this.#sums) {
      this.#last[name] = sum.item() / count;
      sum.dispose();
    }
    this.#sums.clear();
    this.#added = 0;
  }
}
