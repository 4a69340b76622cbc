import type { AudioSpec } from "@iqvae/runtime";

/** What becomes a condition aside from the page: it would stop it for too long. */
export type MediaRequest =
  | { readonly kind: "edges"; readonly rgb: Uint8Array; readonly size: number }
  | { readonly kind: "wav"; readonly file: Uint8Array; readonly name: string; readonly spec: AudioSpec }
  | { readonly kind: "sound"; readonly samples: Float32Array; readonly rate: number; readonly spec: AudioSpec };

export type MediaAnswer = { readonly bytes: Uint8Array } | { readonly problem: string };

/** @throws Error with what is wrong with the sound */
export function toCondition(request: MediaRequest): Promise<Uint8Array> {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  return new Promise<Uint8Array>((resolve, reject) => {
    worker.addEventListener("message", ({ data }: MessageEvent<MediaAnswer>) => {
      if ("bytes" in data) resolve(data.bytes);
      else reject(new Error(data.problem));
    });
    worker.addEventListener("error", ({ message }) => reject(new Error(`a worker of the page failed: ${message}`)));
    worker.postMessage(request);
  }).finally(() => worker.terminate());
}

/** A sound file as a spectrogram: WAV as the command line reads it, all else as far as the browser can. */
export async function readSound(file: Blob, name: string, spec: AudioSpec): Promise<Uint8Array> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const isWav = String.fromCharCode(...bytes.subarray(0, 4)) === "RIFF";
  if (isWav) return await toCondition({ kind: "wav", file: bytes, name, spec });
  const rate = 16_000;
  const decoded = await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes.buffer).catch(() => {
    throw new Error(`${name} cannot be read: it is neither a WAV file nor a sound that this browser plays.`);
  });
  const samples = new Float32Array(decoded.length);
  for (let channel = 0; channel < decoded.numberOfChannels; channel++)
    decoded.getChannelData(channel).forEach((sample, i) => {
      samples[i]! += sample / decoded.numberOfChannels;
    });
  return await toCondition({ kind: "sound", samples, rate, spec });
}

/**
 * The middle square of a photo, RGB bytes `[size, size, 3]`.
 *
 * @throws Error where the browser gives noise for it, as those do that keep pages from recognizing somebody
 */
export function squareOf(photo: ImageBitmap, size: number): Uint8Array {
  const canvas = new OffscreenCanvas(size, size);
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  if (!readsBack(context, size))
    throw new Error("This browser gives pages noise for a photo; let this page read canvases, or sketch by hand.");
  drawSquare(context, photo, size);
  const { data } = context.getImageData(0, 0, size, size);
  return Uint8Array.from({ length: size * size * 3 }, (_, i) => data[4 * Math.floor(i / 3) + (i % 3)]!);
}

/** Whether white is read as white; some browsers change pixels by a little, which no edge depends on. */
function readsBack(context: OffscreenCanvasRenderingContext2D, size: number): boolean {
  context.fillStyle = "#fff";
  context.fillRect(0, 0, size, size);
  return context.getImageData(0, 0, size, size).data.every((value) => value > 0xe0);
}

/** Draws the middle square of a photo, on white. */
export function drawSquare(
  context: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D,
  photo: ImageBitmap,
  size: number,
): void {
  const side = Math.min(photo.width, photo.height);
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff";
  context.fillRect(0, 0, size, size);
  context.drawImage(photo, (photo.width - side) / 2, (photo.height - side) / 2, side, side, 0, 0, size, size);
}
