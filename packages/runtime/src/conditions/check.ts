import type { SemanticSpec } from "./spec.ts";

/** @throws RangeError when there are not as many bytes as the shape asks for, or when one is none */
export function checkBytes(kind: string, sample: Uint8Array, shape: readonly number[]): void {
  const length = shape.reduce((product, side) => product * side, 1);
  if (sample?.length !== length)
    throw new RangeError(
      `a condition of kind "${kind}" is ${length} bytes [${shape.join(", ")}], but ${sample?.length ?? sample} came.`,
    );
  if (sample instanceof Uint8Array) return;
  // JavaScript may hand in any list of numbers, of which fractions and signs would be lost unnoticed.
  for (let i = 0; i < length; i++) {
    const byte = sample[i]!;
    if (Number.isInteger(byte) && byte >= 0 && byte <= 255) continue;
    throw new RangeError(
      `byte ${i} of a condition of kind "${kind}" is ${byte}, but bytes are whole numbers from 0 to 255.`,
    );
  }
}

/**
 * @param shape of the raster, of whatever size
 * @throws RangeError when there are not as many bytes as pixels, or for the first pixel that means nothing
 */
export function checkRaster(
  spec: SemanticSpec | { readonly kind: "lines" | "edges" },
  raster: Uint8Array,
  shape: readonly [height: number, width: number],
): void {
  checkBytes(spec.kind, raster, shape);
  const most = spec.kind === "semantic" ? spec.classes.length - 1 : 1;
  const wrong = raster.findIndex((value) => value > most);
  if (wrong >= 0)
    throw new RangeError(
      `pixel ${wrong} holds ${raster[wrong]}, but a condition of kind "${spec.kind}" holds 0 to ${most}.`,
    );
}
