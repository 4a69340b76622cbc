import { type PairCache, recordLength } from "./cache.ts";
import type { PairSplit } from "./dataset.ts";

/** The pairs of a cache file that are held out, or those that are not. */
export function splitOf(cache: PairCache, validation: boolean): PairSplit {
  const { entries, size } = cache.index;
  const records = Uint32Array.from(entries.keys()).filter((i) => entries[i]!.validation === validation);
  const ids = Array.from(records, (i) => entries[i]!.id);
  const imageLength = size * size * 3;
  const length = recordLength(cache.index);
  return {
    length: ids.length,
    ids,
    batch(indices) {
      const images = new Uint8Array(indices.length * imageLength);
      const conditions = new Uint8Array(indices.length * (length - imageLength));
      const record = new Uint8Array(length);
      for (let i = 0; i < indices.length; i++) {
        const index = records[indices[i]!];
        if (index === undefined) {
          const part = validation ? "validation" : "train";
          throw new RangeError(`${part}.batch: expected numbers from 0 to ${ids.length - 1}, got ${indices[i]}.`);
        }
        cache.read(index, record);
        images.set(record.subarray(0, imageLength), i * imageLength);
        conditions.set(record.subarray(imageLength), i * (length - imageLength));
      }
      return { images, conditions };
    },
  };
}
