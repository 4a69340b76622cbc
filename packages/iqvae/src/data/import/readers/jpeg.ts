import { plain } from "../../../media/svg.ts";

/** libjpeg-turbo, where npm has a build of it for the machine. */
const turbo = await import("@julusian/jpeg-turbo").then((module) => module.default).catch(() => undefined);

const [START, SOS] = [0xd8, 0xda];
/** Frames of the common kinds: baseline, extended, progressive. */
const FRAMES = [0xc0, 0xc1, 0xc2];
/** Segments that change what pixels mean: EXIF may turn the picture, a profile its colors. */
const NOT_PLAIN = ["Exif", "ICC_PROFILE"];

/**
 * The shape of a JPEG file of the common kind, read from its segments up to the first scan (ITU-T T.81, annex B).
 *
 * @returns `undefined` for what is no such file, and for one with EXIF data or a profile; sharp has the word on those
 */
export function plainJpeg(bytes: Buffer): { readonly width: number; readonly height: number } | undefined {
  if (bytes[0] !== 0xff || bytes[1] !== START) return undefined;
  let shape: { width: number; height: number } | undefined;
  for (let at = 2; at + 4 <= bytes.length; ) {
    const [marker, length] = [bytes[at + 1]!, bytes.readUInt16BE(at + 2)];
    if (bytes[at] !== 0xff || length < 2) return undefined;
    if (marker === SOS) return shape;
    const body = bytes.subarray(at + 4, at + 2 + length);
    if (NOT_PLAIN.some((name) => body.toString("latin1", 0, name.length) === name)) return undefined;
    if (FRAMES.includes(marker)) {
      const [bits, channels] = [body[0], body[5]];
      if (bits !== 8 || (channels !== 1 && channels !== 3)) return undefined;
      shape = { height: body.readUInt16BE(1), width: body.readUInt16BE(3) };
    }
    at += 2 + length;
  }
  return undefined;
}

/**
 * The pixels of a file that {@link plainJpeg} knows, by libjpeg-turbo: sharp takes several times as long for a small picture.
 *
 * @returns RGB bytes `[height, width, 3]`; `undefined` for one that is not whole, and where the library is missing: sharp has
 *   the word on those
 */
export async function jpegPixels(bytes: Buffer): Promise<Uint8Array | undefined> {
  try {
    const decoded = await turbo?.decompress(bytes, { format: turbo.FORMAT_RGB });
    return decoded && plain(decoded.data);
  } catch {
    return undefined; // It is thrown for some files, and comes by the promise for others.
  }
}
