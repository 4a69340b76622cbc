import { scope, type Tensor, tensor } from "@iqvae/torch";

/** Square images of one size, one after the other. */
export interface ImageSet {
  readonly count: number;
  /** Side in pixels. */
  readonly size: number;
  /** RGB bytes `[count, size, size, 3]`. */
  readonly pixels: Uint8Array;
  /** Bytes of the images' conditions, one after the other, where they are known. */
  readonly conditions?: Uint8Array;
}

/** @throws RangeError when the bytes are not whole square images of that size, or there are none */
export function imageSet(pixels: Uint8Array, size: number): ImageSet {
  const count = pixels.length / (size * size * 3);
  if (!Number.isInteger(count) || count < 1)
    throw new RangeError(
      `imageSet takes RGB bytes [count, ${size}, ${size}, 3] of at least one image, but got ${pixels.length} bytes.`,
    );
  return { count, size, pixels };
}

/** Images of several arrays as one set. */
export function joinImages(images: readonly Uint8Array[], size: number): ImageSet {
  const pixels = new Uint8Array(images.reduce((sum, image) => sum + image.length, 0));
  let at = 0;
  for (const image of images) {
    pixels.set(image, at);
    at += image.length;
  }
  return imageSet(pixels, size);
}

/** The same images with their conditions, of each of which there are `each` images, one after the other. */
export function withConditions(images: ImageSet, conditions: Uint8Array, each = 1): ImageSet {
  const length = (conditions.length * each) / images.count;
  const repeated = new Uint8Array(images.count * length);
  for (let i = 0; i < images.count; i++) {
    const of = Math.floor(i / each);
    repeated.set(conditions.subarray(of * length, (of + 1) * length), i * length);
  }
  return { ...images, conditions: repeated };
}

/** The first `count` images; the set itself where these are all. */
export function firstOf(images: ImageSet, count: number): ImageSet {
  if (images.count === count) return images;
  const { pixels, size, conditions } = images;
  const first = imageSet(pixels.subarray(0, count * size * size * 3), size);
  if (conditions === undefined) return first;
  return { ...first, conditions: conditions.subarray(0, (conditions.length / images.count) * count) };
}

/** The images `from` to `to` (not included) as a tensor uint8 `[n, H, W, 3]`. */
export function pixelsOf({ size, pixels }: ImageSet, from: number, to: number): Tensor {
  const length = size * size * 3;
  return tensor(pixels.subarray(from * length, to * length), { shape: [to - from, size, size, 3] });
}

/** Calls `body` with the images in batches, each in a scope of its own. */
export function forEachBatch(images: ImageSet, batch: number, body: (pixels: Tensor, first: number) => void): void {
  for (let first = 0; first < images.count; first += batch)
    scope(() => body(pixelsOf(images, first, Math.min(first + batch, images.count)), first));
}
