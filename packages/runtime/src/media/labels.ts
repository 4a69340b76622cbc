import type { Rgb, SemanticSpec } from "../conditions/spec.ts";
import { cropOf } from "./crop.ts";
import { FileProblem } from "./file-problem.ts";

/** Colors that a message names. */
const MOST_SHOWN = 20;

/** Pixels as a file holds them: no profile of colors is applied, and nothing is scaled. */
export interface StoredPixels {
  /** Bytes `[height, width, channels]`: gray or RGB, both perhaps with opacity. */
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  /** Of a gray number: the largest is `2 ** bits - 1`. */
  readonly bits: number;
}

/** A class number for each pixel, `[height, width]`. */
export interface LabelMap {
  readonly labels: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/**
 * Class numbers of pixels: gray ones are numbers; the color of others is the color of its class. Gray pixels are colors, too, where
 * they cannot be numbers and classes have colors of their own. Every pixel is checked.
 *
 * @param name what to call the picture in messages
 * @throws FileProblem for a number, a color or a transparent pixel that stands for no class, and for gray that may be several
 */
export function labelsOf(pixels: StoredPixels, spec: SemanticSpec, name: string): Uint8Array {
  expectOpaque(pixels, name);
  const table = colorTable(spec.classes.map(({ color }) => color));
  return pixels.channels <= 2 ? byGray(pixels, spec, table, name) : byColor(pixels, table, spec.indexed ?? false, name);
}

/** @throws FileProblem for a pixel that is not opaque: it was erased, and its color says nothing */
export function expectOpaque({ data, channels, width }: StoredPixels, name: string): void {
  if (channels % 2 === 1) return;
  for (let at = 0; at < data.length; at += channels) {
    if (data[at + channels - 1] === 255) continue;
    const pixel = `${hex(colorAt(data, at, channels))} at ${place(at / channels, width)}`;
    throw new FileProblem(
      "unknown class or color",
      `${name} has the color ${pixel}, which is transparent. Paint the whole map.`,
    );
  }
}

function byGray(pixels: StoredPixels, spec: SemanticSpec, table: ColorTable, path: string): Uint8Array {
  const { data, channels, width, bits } = pixels;
  const numbers = channels === 1 ? data : data.filter((_, at) => at % channels === 0);
  const { asNumbers, as8Bits, asColors } = readingsOf(valuesOf(numbers), bits, spec, table);
  if (asNumbers === undefined && asColors === undefined) throw unknownNumber(numbers, width, spec, path);
  if (asNumbers === undefined) return numbers.map((value) => asColors!.get(value)!);
  const other = [
    [asColors, "a color. Save painted maps as RGB, or leave out the colors of the classes where maps hold numbers"],
    [as8Bits, "a number of 8 bits. Save class numbers with 8 bits"],
  ] as const;
  for (const [reading, how] of other) {
    for (const [value, label] of reading ?? []) {
      if (label === value) continue;
      const gray = `${path} holds gray ${value} of ${bits} bits`;
      const classes = `class ${named(value, spec)} as a number, or class ${named(label, spec)} as ${how}`;
      throw new FileProblem("unknown class or color", `${gray}, which may be ${classes}.`);
    }
  }
  return numbers;
}

function valuesOf(numbers: Uint8Array): number[] {
  const seen = new Uint8Array(256);
  for (const value of numbers) seen[value] = 1;
  return [...seen.keys()].filter((value) => seen[value] === 1);
}

/** The class of each gray value; there is none where a value stands for no class. */
type Reading = ReadonlyMap<number, number> | undefined;

/** The ways to read the gray values of a map. Programs that make files smaller save painted grays, and numbers, in fewer bits. */
function readingsOf(values: readonly number[], bits: number, { classes, indexed }: SemanticSpec, table: ColorTable) {
  const read = (classOf: (value: number) => number | undefined): Reading => {
    const labels = values.map((value) => [value, classOf(value) ?? SEVERAL] as const);
    return labels.every(([, label]) => label !== SEVERAL && label < classes.length) ? new Map(labels) : undefined;
  };
  const as8Bits = (value: number) => (value * 255) / (2 ** bits - 1);
  return {
    asNumbers: read((value) => value),
    as8Bits: read(as8Bits),
    asColors: indexed ? undefined : read((value) => table.get(as8Bits(value) * 0x01_01_01)),
  };
}

function unknownNumber(numbers: Uint8Array, width: number, spec: SemanticSpec, path: string): FileProblem {
  const count = spec.classes.length;
  const at = numbers.findIndex((label) => label >= count);
  return new FileProblem(
    "unknown class or color",
    `${path} holds ${numbers[at]} at ${place(at, width)}, but there are ${count} classes, ${named(0, spec)} to ` +
      `${named(count - 1, spec)}.`,
  );
}

function named(label: number, { classes }: SemanticSpec): string {
  return `${label} (${classes[label]?.name})`;
}

type ColorTable = ReadonlyMap<number, number>;

/** What a color is in a table that holds it more than once. */
const SEVERAL = -1;

function colorTable(colors: readonly Rgb[]): ColorTable {
  const table = new Map<number, number>();
  colors.forEach(([r, g, b], label) => {
    const key = (r << 16) | (g << 8) | b;
    table.set(key, table.has(key) ? SEVERAL : label);
  });
  return table;
}

function byColor(
  { data, channels, width }: StoredPixels,
  table: ColorTable,
  indexed: boolean,
  path: string,
): Uint8Array {
  const out = new Uint8Array(data.length / channels);
  for (let i = 0, at = 0; i < out.length; i++, at += channels) {
    const color = colorAt(data, at, channels);
    const label = table.get(color);
    if (label === undefined || label === SEVERAL) {
      throw unknownColor(path, `${hex(color)} at ${place(i, width)}`, { label, table, indexed });
    }
    out[i] = label;
  }
  return out;
}

/** As one number; gray pixels have one channel, or two with their opacity. */
function colorAt(data: Uint8Array, at: number, channels: number): number {
  const [g, b] = channels <= 2 ? [at, at] : [at + 1, at + 2];
  return (data[at]! << 16) | (data[g]! << 8) | data[b]!;
}

interface Unknown {
  readonly label: number | undefined;
  readonly table: ColorTable;
  readonly indexed: boolean;
}

function unknownColor(path: string, pixel: string, { label, table, indexed }: Unknown): FileProblem {
  const why =
    label === SEVERAL
      ? "which is that of several classes. Give each class a color of its own, or save class numbers in gray"
      : indexed
        ? "which stands for no class. Save class numbers: as a gray PNG, or as one with a palette"
        : `which stands for no class. Paint without soft edges, in ${[...table.keys()].slice(0, MOST_SHOWN).map(hex).join(", ")}`;
  return new FileProblem("unknown class or color", `${path} has the color ${pixel}, ${why}.`);
}

/**
 * Whoever paints with the colors of the classes may save with a palette, in which they stand in any order.
 *
 * @param labels the indices of the palette
 * @throws FileProblem where colors of the classes stand for other classes than the indices
 */
export function expectNoOtherColors(
  { data, channels }: StoredPixels,
  labels: Uint8Array,
  { classes }: SemanticSpec,
  name: string,
): void {
  const colors = colorTable(classes.map(({ color }) => color));
  let apart = false;
  for (let i = 0, at = 0; i < labels.length; i++, at += channels) {
    const painted = colors.get(colorAt(data, at, channels));
    if (painted === undefined || painted === SEVERAL) return;
    apart ||= painted !== labels[i];
  }
  if (!apart) return;
  throw new FileProblem(
    "unknown class or color",
    `${name} is painted in the colors of the classes, but its palette has them in another order, so that indices and ` +
      "colors name different classes. Save it without a palette.",
  );
}

/** Keeps one pixel of many: the nearest to each of a map that is cut to its middle and scaled to `size`. */
export function keepNearest({ labels, width, height }: LabelMap, size: number): Uint8Array {
  const { left, top, side } = cropOf({ width, height });
  const nearest = (i: number) => Math.min(side - 1, Math.floor(((i + 0.5) * side) / size));
  const columns = Uint32Array.from({ length: size }, (_, x) => left + nearest(x));
  const kept = new Uint8Array(size * size);
  for (let y = 0, at = 0; y < size; y++) {
    const row = (top + nearest(y)) * width;
    for (let x = 0; x < size; x++, at++) kept[at] = labels[row + columns[x]!]!;
  }
  return kept;
}

function place(at: number, width: number): string {
  return `x = ${at % width}, y = ${Math.floor(at / width)}`;
}

function hex(color: number): string {
  return `#${color.toString(16).padStart(6, "0")}`;
}
