import { crc32 } from "node:zlib";
import {
  expectNoOtherColors,
  expectOpaque,
  FileProblem,
  type LabelMap,
  labelsOf,
  type SemanticSpec,
  type StoredPixels,
} from "@iqvae/runtime";
import { expectLossless } from "./lossless.ts";
import { decode, expectPixels, type Picture } from "./picture.ts";
import { plain } from "./svg.ts";

/** The most pixels of a label map, 8,192²: all of them are looked at. */
const MOST_PIXELS = 2 ** 26;

/**
 * The pixels of a label map or a mask, upright.
 *
 * @throws FileProblem for one that is not whole, has more than 8 bits or a transparent pixel, is too large, or was compressed with loss
 */
export async function storedPixels(picture: Picture): Promise<StoredPixels> {
  const { path, header } = picture;
  expectLossless(picture);
  expectPixels(picture, MOST_PIXELS, "a label map");
  if (header.depth !== "uchar") {
    const bits = header.bitsPerSample ?? header.depth;
    throw new FileProblem("unsuitable format", `${path} has ${bits} bits a pixel. Save it with 8 bits.`);
  }
  if (header.hasAlpha) expectOpaque(await decoded(picture, "srgb"), path);
  if (header.space !== "b-w") return await decoded(picture, "srgb");
  const pixels = await decoded(picture, "b-w");
  const bits = header.bitsPerSample ?? 8;
  // Fewer than 8 bits were spread over 0 … 255.
  return bits === 8 ? pixels : { ...pixels, data: pixels.data.map((value) => value >> (8 - bits)), bits };
}

/** Gray pixels come out as RGB where they are not asked for as gray, which drops their opacity. */
async function decoded(picture: Picture, space: "b-w" | "srgb"): Promise<StoredPixels> {
  const { data, info } = await decode(
    picture,
    (image) => image.toColorspace(space).raw().toBuffer({ resolveWithObject: true }),
    { ignoreIcc: true },
  );
  const { width, height, channels } = info;
  return { data: plain(data), width, height, channels, bits: 8 };
}

/**
 * Reads a semantic map. Of a PNG with a palette the index is the class number where `indexed` is set; all other pixels are what
 * {@link labelsOf} says. Every pixel is checked.
 *
 * @throws FileProblem as {@link storedPixels} and {@link labelsOf}, and for a palette that may be read in two ways
 */
export async function readLabels(picture: Picture, spec: SemanticSpec): Promise<LabelMap> {
  const { path, header } = picture;
  const palette = header.format === "png" && header.isPalette === true;
  if (palette && spec.indexed) {
    // An index is a number of any bits.
    const pixels = { ...(await storedPixels(paletteIndices(picture))), bits: 8 };
    const labels = labelsOf(pixels, spec, path);
    const colors = await storedPixels(picture);
    expectNoOtherColors(colors, labels, spec, path);
    expectNoOtherNumbers(colors, labels, spec, path);
    return { labels, width: pixels.width, height: pixels.height };
  }
  const pixels = await storedPixels(picture);
  return { labels: labelsOf(pixels, spec, path), width: pixels.width, height: pixels.height };
}

/**
 * Programs that make files smaller give gray numbers a palette, in which they stand in any order.
 *
 * @param labels the indices of the palette
 * @throws FileProblem where grays of the palette are numbers of other classes than the indices, each of its own
 */
function expectNoOtherNumbers(
  { data, channels }: StoredPixels,
  labels: Uint8Array,
  { classes }: SemanticSpec,
  path: string,
): void {
  const grays = new Map<number, number>();
  for (let i = 0, at = 0; i < labels.length; i++, at += channels) {
    const gray = data[at]!;
    if (gray >= classes.length || data[at + 1] !== gray || data[at + 2] !== gray) return;
    grays.set(labels[i]!, gray);
  }
  const [index, gray] = [...grays].find(([index, gray]) => index !== gray) ?? [];
  // Where several indices have one gray, it is no number.
  if (index === undefined || new Set(grays.values()).size < grays.size) return;
  throw new FileProblem(
    "unknown class or color",
    `${path} has a palette with gray ${gray} at index ${index}, and both are numbers of classes. Save class numbers as a gray ` +
      "PNG, without a palette.",
  );
}

/** Chunks of a PNG file that are needed where a palette's are left out. */
const KEPT = ["IDAT", "IEND", "eXIf"];

/**
 * A PNG file with a palette as a gray one, whose numbers are the indices (PNG specification, 11.2.2): in both kinds pixels are
 * stored alike, so it takes another color type in the header, and no palette. Libraries give colors for indices.
 */
function paletteIndices(picture: Picture): Picture {
  const { bytes, header } = picture;
  const begin = Buffer.from(bytes.subarray(0, 33)); // signature and IHDR
  begin[25] = 0; // color type: gray
  begin.writeUInt32BE(crc32(begin.subarray(12, 29)), 29);
  const chunks: Buffer[] = [begin];
  for (let at = 33; at + 12 <= bytes.length; ) {
    const end = at + 12 + bytes.readUInt32BE(at);
    if (KEPT.includes(bytes.toString("latin1", at + 4, at + 8))) chunks.push(bytes.subarray(at, end));
    at = end;
  }
  return { ...picture, bytes: Buffer.concat(chunks), header: { ...header, space: "b-w", hasAlpha: false } };
}
