import { maskedCrc32c } from "./crc32c.ts";

/** What TensorBoard is told at one moment. */
export type Event = {
  /** Seconds since 1970. */
  readonly wallTime: number;
  readonly step: number;
} & (
  | { readonly kind: "version" }
  /**
   * A training begins, or goes on here: what was told of this step and later ones is void. TensorBoard's slow loader takes the
   * first one for the beginning, whatever its step, and drops nothing.
   */
  | { readonly kind: "start" }
  | { readonly kind: "scalars"; readonly values: Readonly<Record<string, number>> }
  | {
      readonly kind: "image";
      readonly tag: string;
      readonly width: number;
      readonly height: number;
      readonly png: Uint8Array;
    }
);

/** An event as it stands in a file: a TFRecord around TensorFlow's protocol buffer `Event`. */
export function encodeEvent(event: Event): Buffer {
  return record(Buffer.concat([double(1, event.wallTime), integer(2, event.step), content(event)]));
}

/** Length, its CRC, the bytes, their CRC; little-endian. */
function record(bytes: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(BigInt(bytes.length));
  head.writeUInt32LE(maskedCrc32c(head.subarray(0, 8)), 8);
  const tail = Buffer.alloc(4);
  tail.writeUInt32LE(maskedCrc32c(bytes));
  return Buffer.concat([head, bytes, tail]);
}

// Field numbers are those of event.proto and summary.proto of TensorFlow.
const RGB = 3;
const START = 1;

function content(event: Event): Buffer {
  switch (event.kind) {
    case "version":
      return bytes(3, Buffer.from("brain.Event:2"));
    case "start":
      return bytes(7, integer(1, START));
    case "scalars": {
      const values = Object.entries(event.values).map(([tag, value]) =>
        bytes(1, Buffer.concat([bytes(1, Buffer.from(tag)), float(2, value)])),
      );
      return bytes(5, Buffer.concat(values));
    }
    case "image": {
      const { tag, width, height, png } = event;
      const image = Buffer.concat([integer(1, height), integer(2, width), integer(3, RGB), bytes(4, png)]);
      return bytes(5, bytes(1, Buffer.concat([bytes(1, Buffer.from(tag)), bytes(4, image)])));
    }
  }
}

// Protocol buffers: a field is its number with the kind of its value, then the value. Zeros of whole numbers are left out.

function key(field: number, kind: 0 | 1 | 2 | 5): Buffer {
  return varint(field * 8 + kind);
}

/** Seven bits a byte, the lowest first; the high bit says that more follow. */
function varint(value: number): Buffer {
  const groups: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) groups.push((rest % 128) + 128);
  return Buffer.from([...groups, rest]);
}

function integer(field: number, value: number): Buffer {
  return value === 0 ? Buffer.alloc(0) : Buffer.concat([key(field, 0), varint(value)]);
}

function double(field: number, value: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeDoubleLE(value);
  return Buffer.concat([key(field, 1), out]);
}

function float(field: number, value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeFloatLE(value);
  return Buffer.concat([key(field, 5), out]);
}

function bytes(field: number, value: Uint8Array): Buffer {
  return Buffer.concat([key(field, 2), varint(value.length), value]);
}
