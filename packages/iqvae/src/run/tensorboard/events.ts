import { bytes, double, float, integer, message, string } from "../../support/protobuf.ts";
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
  return record(message(double(1, event.wallTime), integer(2, event.step), content(event)));
}

/** Length, its CRC, the bytes, their CRC; little-endian. */
function record(content: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(BigInt(content.length));
  head.writeUInt32LE(maskedCrc32c(head.subarray(0, 8)), 8);
  const tail = Buffer.alloc(4);
  tail.writeUInt32LE(maskedCrc32c(content));
  return Buffer.concat([head, content, tail]);
}

// Field numbers are those of event.proto and summary.proto of TensorFlow.
const RGB = 3;
const START = 1;

function content(event: Event): Buffer {
  switch (event.kind) {
    case "version":
      return string(3, "brain.Event:2");
    case "start":
      return bytes(7, integer(1, START));
    case "scalars": {
      const values = Object.entries(event.values).map(([tag, value]) =>
        bytes(1, message(string(1, tag), float(2, value))),
      );
      return bytes(5, message(...values));
    }
    case "image": {
      const { tag, width, height, png } = event;
      const image = message(integer(1, height), integer(2, width), integer(3, RGB), bytes(4, png));
      return bytes(5, bytes(1, message(string(1, tag), bytes(4, image))));
    }
  }
}
