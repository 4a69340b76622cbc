/** A rectangle of a picture, and the point of it that stands on the ground. */
export interface Frame {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly originX: number;
  readonly originY: number;
}

/** Frames by pose, `animation/frame/direction`. */
export type FramesOf = ReadonlyMap<string, Frame>;

/**
 * Reads an animation file of Flare: `image=PATH`, then for each `[animation]` lines of
 * `frame=INDEX,DIRECTION,X,Y,WIDTH,HEIGHT,OFFSET_X,OFFSET_Y`. Other lines (durations, kinds, comments) say nothing of pictures.
 *
 * @param path what to call it in messages
 * @throws Error for a file that has no image, or a frame that is none
 */
export function parseFrames(text: string, path: string): { readonly image: string; readonly frames: FramesOf } {
  let [image, animation] = ["", ""];
  const frames = new Map<string, Frame>();
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith("image=")) image = line.slice(6).trim();
    animation = /^\[(.+)\]/.exec(line)?.[1] ?? animation;
    if (!line.startsWith("frame=")) continue;
    const numbers = line.slice(6).split(",").map(Number);
    const [index, direction, x, y, width, height, originX, originY] = numbers;
    if (numbers.length !== 8 || !numbers.every(Number.isInteger) || numbers.slice(0, 6).some((value) => value < 0)) {
      throw new Error(`${path}: expected frame= and eight whole numbers, the first six not negative, got "${line}".`);
    }
    frames.set(`${animation}/${index}/${direction}`, {
      x: x!,
      y: y!,
      width: width!,
      height: height!,
      originX: originX!,
      originY: originY!,
    });
  }
  if (image === "" || frames.size === 0) throw new Error(`${path}: expected an image= line and frame= lines.`);
  return { image, frames };
}

/**
 * Reads Flare's `hero_layers.txt`: lines of `layer=DIRECTION,PART,…`, the part drawn first in front. Parts that are not asked for
 * (what a hero holds) are left out.
 *
 * @returns for each of eight directions all of `parts` in their order
 * @throws Error where a direction or a part is missing
 */
export function parseDrawingOrder<T extends string>(text: string, parts: readonly T[]): readonly (readonly T[])[] {
  const lines = text.split(/\r?\n/).map((line) => /^layer=(\d),(.*)$/.exec(line));
  return Array.from({ length: 8 }, (_, direction) => {
    const [, , list = ""] = lines.find((match) => match?.[1] === String(direction)) ?? [];
    const named = list.split(",").map((name) => name.trim());
    const order = named.flatMap((name) => parts.filter((part) => part === name));
    if (order.length !== parts.length || new Set(order).size !== parts.length) {
      throw new Error(`hero_layers.txt: expected a line layer=${direction} with ${parts.join(", ")}, got "${list}".`);
    }
    return order;
  });
}
