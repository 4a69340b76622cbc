import type { Random } from "../../support/random.ts";
import { AROUND, around, thinned } from "./thinned.ts";

/** How far a hand strays from a line, in shares of the side: all of the sketch together, and each stroke beside it. */
const STRAYS = 1 / 32;
const MISSED = 0.5 / 32;
/** Waves across the sketch in which a hand strays, at most. */
const WAVES = 3;
/** A stroke below this share of the side is short. */
const SHORT = 1 / 8;
/** The shares of short and of long strokes that are left out. */
const LEFT_OUT = { short: 0.15, long: 0.04 };
/** The share of sketches that are drawn with a brush of two pixels instead of one. */
const BROAD = 0.2;

/** A stroke's own way of being off. */
interface Stroke {
  readonly isDrawn: boolean;
  readonly right: number;
  readonly down: number;
}

type Place = readonly [x: number, y: number];

/**
 * Lines as a hand would draw them: each a pixel or two broad, wavering, beside its place, not quite meeting others, and some
 * left out.
 *
 * @param lines bytes `[size, size]`, 1 where there is ink and 0 elsewhere
 */
export function sketchedLines(lines: Uint8Array, size: number, random: Random): Uint8Array {
  const thin = thinned(lines, size);
  const numbers = strokesOf(thin, size);
  const strokes = drawnStrokes(numbers, size, random);
  const strayed = strays(size, random);
  const breadth = random() < BROAD ? 2 : 1;
  const out = new Uint8Array(lines.length);
  const moved = (pixel: number, { right, down }: Stroke): Place => {
    const [x, y] = [pixel % size, Math.floor(pixel / size)];
    const [dx, dy] = strayed(x, y);
    return [x + dx + right, y + dy + down];
  };
  for (const [pixel, isInk] of thin.entries()) {
    if (!isInk) continue;
    for (const other of [pixel, ...following(pixel, thin, size)]) {
      // Where strokes meet, a pixel is of none: it goes with the one that comes there.
      const stroke = strokes[numbers[pixel] || numbers[other]!]!;
      if (stroke.isDrawn) drawLine(out, size, moved(pixel, stroke), moved(other, stroke), breadth);
    }
  }
  return out;
}

/** The neighbors that are ink and come later: right, and the three below. */
function following(pixel: number, lines: Uint8Array, size: number): number[] {
  const near = around(lines, size, pixel);
  return [2, 3, 4, 5].filter((i) => near[i]).map((i) => pixel + AROUND[i]![1] * size + AROUND[i]![0]);
}

/** The number of each pixel's stroke, from 1; 0 where there is no ink, and where strokes meet. */
function strokesOf(thin: Uint8Array, size: number): Uint16Array {
  const isMeeting = (pixel: number) => around(thin, size, pixel).filter(Boolean).length > 2;
  const free = thin.map((isInk, pixel) => Number(isInk === 1 && !isMeeting(pixel)));
  const numbers = new Uint16Array(thin.length);
  let last = 0;
  for (const pixel of free.keys()) {
    if (!free[pixel] || numbers[pixel]) continue;
    last++;
    const open = [pixel];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (numbers[at]) continue;
      numbers[at] = last;
      for (const [i, isInk] of around(free, size, at).entries()) {
        if (isInk) open.push(at + AROUND[i]![1] * size + AROUND[i]![0]);
      }
    }
  }
  return numbers;
}

/** How each stroke is off, by its number; that of 0 is not off. */
function drawnStrokes(numbers: Uint16Array, size: number, random: Random): Stroke[] {
  const lengths: number[] = [];
  for (const number of numbers) lengths[number] = (lengths[number] ?? 0) + 1;
  const missed = () => size * MISSED * (2 * random() - 1);
  return lengths.map((length, number) => {
    if (number === 0) return { isDrawn: true, right: 0, down: 0 };
    const leftOut = length < size * SHORT ? LEFT_OUT.short : LEFT_OUT.long;
    return { isDrawn: random() >= leftOut, right: missed(), down: missed() };
  });
}

/** How far a hand strays at a place: two slow waves each way. */
function strays(size: number, random: Random): (x: number, y: number) => Place {
  const wave = () => {
    const [across, along, phase] = [0, 1, 2].map(() => 2 * random() - 1) as [number, number, number];
    const height = (size * STRAYS * random()) / 2;
    return (x: number, y: number) =>
      height * Math.sin(2 * Math.PI * ((WAVES * (across * x + along * y)) / size + phase));
  };
  const [one, two, three, four] = [wave(), wave(), wave(), wave()];
  return (x, y) => [one(x, y) + two(x, y), three(x, y) + four(x, y)];
}

/** Inks every pixel of a line, and what a broader brush covers besides; nothing beyond the sides. */
function drawLine(out: Uint8Array, size: number, from: Place, to: Place, breadth: number): void {
  const steps = Math.ceil(Math.max(Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1]), 1));
  for (let step = 0; step <= steps; step++) {
    const at = [0, 1].map((axis) => Math.round(from[axis]! + ((to[axis]! - from[axis]!) * step) / steps));
    for (let v = at[1]!; v < at[1]! + breadth; v++)
      for (let u = at[0]!; u < at[0]! + breadth; u++)
        if (u >= 0 && u < size && v >= 0 && v < size) out[v * size + u] = 1;
  }
}
