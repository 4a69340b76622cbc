/** The largest square in the middle of a picture, in pixels. */
export interface Crop {
  readonly left: number;
  readonly top: number;
  readonly side: number;
}

export function cropOf({ width, height }: { readonly width: number; readonly height: number }): Crop {
  const side = Math.min(width, height);
  return { left: Math.floor((width - side) / 2), top: Math.floor((height - side) / 2), side };
}
