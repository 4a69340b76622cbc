/** A field of a protocol buffer: its number, and a whole number or bytes. */
interface Field {
  readonly number: number;
  readonly value: number | Buffer;
}

/** The fields of a message, in their order. */
function fieldsOf(message: Buffer): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++]!;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return Number(BigInt.asIntN(64, value));
    }
  };
  while (at < message.length) {
    const key = varint();
    const [number, kind] = [key >> 3, key & 7];
    const length = { 0: 0, 1: 8, 2: -1, 5: 4 }[kind];
    if (length === undefined) throw new Error(`a field of kind ${kind}`);
    if (kind === 0) fields.push({ number, value: varint() });
    else {
      const size = kind === 2 ? varint() : length;
      fields.push({ number, value: message.subarray(at, at + size) });
      at += size;
    }
  }
  return fields;
}

const all = (message: Buffer, number: number) =>
  fieldsOf(message)
    .filter((field) => field.number === number)
    .map(({ value }) => value);

/** A tensor that a graph holds, or names in another file. */
export interface Initializer {
  readonly name: string;
  readonly dims: readonly number[];
  readonly external: { readonly location: string; readonly offset: number; readonly length: number } | undefined;
}

/** The tensors of an `.onnx` file, read without the code that wrote it. */
export function initializersOf(file: Buffer): Initializer[] {
  const [graph] = all(file, 7) as [Buffer];
  return (all(graph, 5) as Buffer[]).map((tensor) => {
    const entries = Object.fromEntries(
      (all(tensor, 13) as Buffer[]).map((entry) => [String(all(entry, 1)[0]), String(all(entry, 2)[0])]),
    );
    const external = all(tensor, 14)[0] === 1;
    return {
      name: String(all(tensor, 8)[0]),
      dims: all(tensor, 1) as number[],
      external: external
        ? { location: entries.location!, offset: Number(entries.offset), length: Number(entries.length) }
        : undefined,
    };
  });
}
