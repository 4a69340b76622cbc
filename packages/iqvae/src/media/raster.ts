import sharp, { type Sharp } from "sharp";
import { plain } from "./svg.ts";

/** Pixels row by row: bytes `[height, width, channels]`. */
export interface Raster {
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: Channels;
}

/** The first channel as it is, RGB, or RGB with alpha. */
type Channels = 1 | 3 | 4;

/** A rectangle, in pixels. */
export interface Rectangle {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Versions of the libraries that decode images, by name: what was decoded by others may differ. */
export const IMAGE_LIBRARIES: Readonly<Record<string, string | undefined>> = sharp.versions;

/**
 * Decodes a picture of a package, whole. Files of users come through {@link openPicture}, which trusts them less.
 *
 * @param source a path, or the bytes of a file
 * @throws Error from the decoder for what is not a picture
 */
export async function readRaster(source: string | Uint8Array, channels: Channels): Promise<Raster> {
  const image = sharp(source);
  if (channels === 1) return await rasterOf(image.extractChannel(0), channels);
  const color = image.toColorspace("srgb");
  return await rasterOf(channels === 3 ? color.removeAlpha() : color.ensureAlpha(), channels);
}

/** What the header of a picture says, without decoding it. */
export async function readRasterSize(
  source: Uint8Array,
): Promise<{ readonly width: number; readonly height: number; readonly hasAlpha: boolean }> {
  return await sharp(source).metadata();
}

/** How a raster is scaled; Lanczos, unless `kernel` says otherwise. */
export interface Scaling {
  /** The part that is scaled; all by default. */
  readonly part?: Rectangle;
  readonly width: number;
  readonly height: number;
  /** Keeps the proportions, within width and height, and enlarges nothing. */
  readonly inside?: boolean;
  readonly kernel?: "lanczos3" | "cubic";
}

/** Cuts a part out of a raster and scales it. */
export async function scaleRaster(
  { pixels, ...raw }: Raster,
  { part, width, height, inside = false, kernel = "lanczos3" }: Scaling,
): Promise<Raster> {
  const whole = sharp(pixels, { raw });
  const cut = part === undefined ? whole : whole.extract(part);
  const fit = inside ? ({ fit: "inside", withoutEnlargement: true } as const) : { fit: "fill" as const };
  const scaled = cut.resize(width, height, { ...fit, kernel });
  return await rasterOf(raw.channels === 1 ? scaled.toColorspace("b-w") : scaled, raw.channels);
}

async function rasterOf(image: Sharp, channels: Channels): Promise<Raster> {
  const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
  return { pixels: plain(data), width: info.width, height: info.height, channels };
}
