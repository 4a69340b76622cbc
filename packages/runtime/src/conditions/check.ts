import type { SemanticSpec } from "./spec.ts";

/** @throws RangeError when there are not as many bytes as the shape asks for */
export function checkLength(kind: string, sample: Uint8Array, shape: readonly number[]): void {
  const length = shape.reduce((product, side) => product * side, 1);
  if (sample.length === length) return;
  throw new RangeError(
    `a condition of kind "${kind}" is ${length} bytes [${shape.join(", ")}], but ${sample.length} came. ` +
      "Take them from a batch of the data set, or read them with readCondition.",
  );
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
  checkLength(spec.kind, raster, shape);
  checkValues(spec.kind, raster, spec.kind === "semantic" ? spec.classes.length - 1 : 1, (i) => `pixel ${i}`);
}

/**
 * @param what a byte is, with its place: "pixel 7"
 * @throws RangeError for the first value above `most`
 */
export function checkValues(
  kind: string,
  values: ArrayLike<number>,
  most: number,
  what: (index: number) => string,
): void {
  for (let i = 0; i < values.length; i++) {
    if (values[i]! <= most) continue;
    throw new RangeError(`${what(i)} holds ${values[i]}, but a condition of kind "${kind}" holds 0 to ${most}.`);
  }
}
