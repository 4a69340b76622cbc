import type { PairDataset } from "../../data/index.ts";
import { seededRandom } from "../../support/random.ts";

/** Pairs that are read at a time. */
const BATCH = 256;

/** The held-out conditions of a data set, each once, sorted by what they are conditions of. */
export class Shelf {
  /** Bytes of each condition. */
  readonly conditions: readonly Uint8Array[];
  readonly #places = new Map<string, number>();
  /** The conditions of each concept, by place. */
  readonly #concepts: readonly (readonly number[])[];
  /** The number of each condition's concept. */
  readonly #numbers: readonly number[];

  constructor(dataset: PairDataset) {
    const { validation } = dataset;
    const conditions: Uint8Array[] = [];
    const byConcept = new Map<string, number[]>();
    for (let first = 0; first < validation.length; first += BATCH) {
      const rows = Array.from({ length: Math.min(BATCH, validation.length - first) }, (_, i) => first + i);
      for (const [i, condition] of separate(validation.batch(rows).conditions, rows.length).entries()) {
        if (this.#places.has(keyOf(condition))) continue;
        const concept = conceptIn(dataset, validation.ids[rows[i]!]!, condition);
        this.#places.set(keyOf(condition), conditions.length);
        byConcept.set(concept, [...(byConcept.get(concept) ?? []), conditions.length]);
        conditions.push(condition);
      }
    }
    this.conditions = conditions;
    this.#concepts = [...byConcept.values()];
    const numbers = new Array<number>(conditions.length);
    this.#concepts.forEach((places, concept) => {
      for (const place of places) numbers[place] = concept;
    });
    this.#numbers = numbers;
  }

  /** How many concepts there are. */
  get concepts(): number {
    return this.#concepts.length;
  }

  /** @returns the place of a condition among {@link conditions}; `undefined` for one that is not held out */
  find(condition: Uint8Array): number | undefined {
    return this.#places.get(keyOf(condition));
  }

  /**
   * Conditions of `count` other concepts than that of the condition at `place`, one of each.
   *
   * @param seed equal seeds give equal conditions
   */
  others(place: number, count: number, seed: number): number[] {
    const random = seededRandom("other conditions", seed);
    const below = (end: number) => Math.floor(random() * end);
    const left = [...this.#concepts.keys()].filter((concept) => concept !== this.#numbers[place]);
    return Array.from({ length: count }, (_, i) => {
      const chosen = i + below(left.length - i);
      [left[i], left[chosen]] = [left[chosen]!, left[i]!];
      const places = this.#concepts[left[i]]!;
      return places[below(places.length)]!;
    });
  }
}

/**
 * What a pair with a text or a sound is a picture of: pairs of one concept show and say the same, each in its own way.
 *
 * @param id of a pair of the data set
 * @param condition its bytes
 * @returns a name, equal for pairs of one concept
 */
export function conceptIn({ facts }: Pick<PairDataset, "facts">, id: string, condition: Uint8Array): string {
  return facts?.concept?.(id) ?? keyOf(condition);
}

/** Samples of equal length, one after the other, as `count` arrays. */
export function separate(samples: Uint8Array, count: number): Uint8Array[] {
  const length = samples.length / count;
  return Array.from({ length: count }, (_, i) => samples.subarray(i * length, (i + 1) * length));
}

function keyOf(condition: Uint8Array): string {
  return Buffer.from(condition).toString("latin1");
}
