/**
 * Writes protocol buffers (https://protobuf.dev/programming-guides/encoding). A field is its number with the kind of its value,
 * then the value; a message is its fields one after the other.
 */

/** Several fields as one message. */
export const message = (...fields: readonly Uint8Array[]): Buffer => Buffer.concat(fields);

/**
 * A whole number of an `int32`, `int64` or an enumeration. Zeros are left out, since a reader takes a missing field for one.
 *
 * @param value in ±2⁵³
 */
export function integer(field: number, value: number): Buffer {
  return value === 0 ? Buffer.alloc(0) : message(key(field, 0), varint(value));
}

/** A list of whole numbers, zeros included, one field each (proto2 without `packed`). */
export function integers(field: number, values: readonly number[]): Buffer {
  return message(...values.flatMap((value) => [key(field, 0), varint(value)]));
}

/** A `double`. */
export function double(field: number, value: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeDoubleLE(value);
  return message(key(field, 1), out);
}

/** A `float`. */
export function float(field: number, value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeFloatLE(value);
  return message(key(field, 5), out);
}

/** Bytes, or a message inside of the message. */
export function bytes(field: number, value: Uint8Array): Buffer {
  return message(key(field, 2), varint(value.length), value);
}

/** A text, in UTF-8. */
export function string(field: number, value: string): Buffer {
  return bytes(field, Buffer.from(value));
}

function key(field: number, kind: 0 | 1 | 2 | 5): Buffer {
  return varint(field * 8 + kind);
}

/** Seven bits a byte, the lowest first; the high bit says that more follow. Negative numbers are those of 64 bits. */
function varint(value: number): Buffer {
  const groups: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest >= 128n; rest >>= 7n) groups.push(Number(rest & 127n) + 128);
  return Buffer.from([...groups, Number(rest)]);
}
