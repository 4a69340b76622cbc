import sharp, { type Metadata } from "sharp";
import { type ConditionSpec, conditionFor } from "../conditions/index.ts";

/** One row of a contact sheet. */
export interface SheetRow {
  readonly label?: string;
  /** RGB bytes `[side, side, 3]`, square, all of one size in a sheet. */
  readonly tiles: readonly Uint8Array[];
}

/** Space around tiles, in pixels of the sheet. */
const GAP = 4;
const LABEL_HEIGHT = 16;
/** Small tiles are enlarged by a whole number, so that a person sees the pixels as they are. */
const SHOWN_SIDE = 128;

/** The most pixels of a picture that can be written: sharp's own limit. */
const MOST_PIXELS = 0x3fff ** 2;

/**
 * The size of a contact sheet in pixels.
 *
 * @param rows their labels and numbers of tiles
 * @param side of a tile in pixels
 * @throws RangeError for a sheet that would be too large to be written: to be asked for before tiles are drawn
 */
export function sheetSize(
  rows: readonly { readonly label?: string | undefined; readonly tiles: number }[],
  side: number,
): { width: number; height: number } {
  const cell = cellOf(side);
  const width = GAP + cell * Math.max(...rows.map(({ tiles }) => tiles));
  const height = GAP + rows.reduce((sum, { label }) => sum + cell + (label === undefined ? 0 : LABEL_HEIGHT), 0);
  if (width * height <= MOST_PIXELS) return { width, height };
  throw new RangeError(
    `A picture of ${rows.length} rows would have ${width} × ${height} pixels; at most ${MOST_PIXELS} are possible. ` +
      `Draw fewer images at a time.`,
  );
}

const zoomOf = (side: number) => Math.max(1, Math.floor(SHOWN_SIDE / side));
const cellOf = (side: number) => side * zoomOf(side) + GAP;

/**
 * Lays tiles out in rows on white.
 *
 * @returns a PNG file
 * @throws RangeError if there is no tile, if the tiles are not square and of one size, or for a sheet that is too large
 */
export async function contactSheet(rows: readonly SheetRow[]): Promise<Buffer> {
  const side = sideOf(rows);
  const zoom = zoomOf(side);
  const cell = cellOf(side);
  const { width, height } = sheetSize(
    rows.map(({ label, tiles }) => ({ label, tiles: tiles.length })),
    side,
  );
  const heightOf = (row: SheetRow) => cell + (row.label === undefined ? 0 : LABEL_HEIGHT);

  const sheet = Buffer.alloc(width * height * 3, 255);
  const labels: string[] = [];
  let top = GAP;
  for (const row of rows) {
    if (row.label !== undefined) {
      labels.push(`<text x="${GAP}" y="${top + LABEL_HEIGHT - 5}">${escapeXml(row.label)}</text>`);
    }
    const tileTop = top + heightOf(row) - cell;
    row.tiles.forEach((tile, column) => {
      paste(tile, side, zoom, sheet, width, GAP + column * cell, tileTop);
    });
    top += heightOf(row);
  }
  const image = sharp(sheet, { raw: { width, height, channels: 3 } });
  if (labels.length > 0) image.composite([{ input: Buffer.from(labelLayer(width, height, labels)) }]);
  return await image
    .removeAlpha()
    .withExif({ IFD0: { Software: SHEET_MARK } })
    .png()
    .toBuffer();
}

/** What tells a contact sheet from other pictures: an import of the folder that it lies in must not take it for one of the user's. */
export const SHEET_MARK = "iqvae contact sheet";

/** Whether a picture is a contact sheet, by what sharp says of it. */
export function isContactSheet({ exif }: Metadata): boolean {
  return exif?.includes(SHEET_MARK) ?? false;
}

function sideOf(rows: readonly SheetRow[]): number {
  const lengths = new Set(rows.flatMap((row) => row.tiles.map((tile) => tile.length)));
  const [length] = lengths;
  const side = Math.sqrt((length ?? 0) / 3);
  if (lengths.size !== 1 || side < 1 || !Number.isInteger(side)) {
    throw new RangeError(
      `contactSheet: expected square RGB tiles [side, side, 3] of one size, got tiles of ` +
        `${[...lengths].join(", ") || "no"} bytes in ${rows.length} rows.`,
    );
  }
  return side;
}

function paste(tile: Uint8Array, side: number, zoom: number, sheet: Buffer, width: number, left: number, top: number) {
  for (let y = 0; y < side * zoom; y++) {
    for (let x = 0; x < side * zoom; x++) {
      const from = 3 * (Math.floor(y / zoom) * side + Math.floor(x / zoom));
      sheet.set(tile.subarray(from, from + 3), 3 * ((top + y) * width + left + x));
    }
  }
}

function labelLayer(width: number, height: number, labels: readonly string[]): string {
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">` +
    `<g font-family="sans-serif" font-size="11" fill="#333">${labels.join("")}</g></svg>`
  );
}

/** Names of files may hold what XML does not: control characters, halves of surrogate pairs and the last two code points of the plane. */
function escapeXml(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cs}\ufffe\uffff]/gu, "\ufffd")
    .replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/**
 * Draws a condition for people, as its kind is drawn: maps in the colors of their classes, lines black on white, key points
 * with their bones, boxes with names, text as text, sound as its spectrogram.
 *
 * @param sample one condition's bytes as in a batch
 * @param size side of the data set's images, and of the picture
 * @returns RGB bytes `[size, size, 3]`
 * @throws RangeError for bytes that mean nothing
 */
export function drawCondition(sample: Uint8Array, spec: ConditionSpec, size: number): Uint8Array {
  return conditionFor(spec, size).draw(sample, size);
}
