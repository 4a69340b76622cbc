import { faceToSvgString, svgs } from "facesjs";
import { halve, inkOf, rasterize } from "../../../media/svg.ts";
import type { FaceGeometry } from "./geometry.ts";
import type { FaceColors } from "./palettes.ts";

/** The classes of the semantic map, in the order of their numbers, with the colors that show them to people. */
export const FACE_CLASSES = [
  { name: "background", color: [236, 239, 241] },
  { name: "neck", color: [201, 138, 107] },
  { name: "jersey", color: [66, 103, 172] },
  { name: "ear", color: [224, 122, 95] },
  { name: "head", color: [242, 196, 160] },
  { name: "facial hair", color: [139, 94, 60] },
  { name: "eye", color: [255, 255, 255] },
  { name: "eyebrow", color: [96, 108, 56] },
  { name: "mouth", color: [208, 52, 74] },
  { name: "nose", color: [244, 162, 97] },
  { name: "hair", color: [61, 44, 46] },
  { name: "glasses", color: [42, 157, 143] },
  { name: "accessory", color: [155, 93, 229] },
] as const;

type ClassName = (typeof FACE_CLASSES)[number]["name"];
type Feature = Exclude<keyof FaceGeometry, "fatness" | "teamColors">;

/** facesjs' features from back to front, how many groups each draws, and the class each counts as. */
const FEATURES: readonly (readonly [Feature, number, ClassName])[] = [
  ["hairBg", 1, "hair"],
  ["body", 1, "neck"],
  ["jersey", 1, "jersey"],
  ["ear", 2, "ear"],
  ["head", 1, "head"],
  // Wrinkles and freckles are thinner than a pixel: they count as the head that they are drawn on.
  ["eyeLine", 1, "head"],
  ["smileLine", 2, "head"],
  ["miscLine", 1, "head"],
  ["facialHair", 1, "facial hair"],
  ["eye", 2, "eye"],
  ["eyebrow", 2, "eyebrow"],
  ["mouth", 1, "mouth"],
  ["nose", 1, "nose"],
  ["hair", 1, "hair"],
  ["glasses", 1, "glasses"],
  ["accessories", 1, "accessory"],
];

/** The square of facesjs' canvas that is shown: x, y, width, height. */
const VIEW = { x: -60, y: 75, side: 520 };

/** One `<g>` of a drawn face, still with the placeholders of its colors. */
interface Group {
  readonly class: number;
  readonly svg: string;
}

/** A geometry laid out once, to be drawn in many colors. */
export type FaceDrawing = readonly Group[];

/** Lays out a geometry. The costly part of drawing (0.7 ms); the colors are filled in afterward. */
export function layOut(geometry: FaceGeometry): FaceDrawing {
  const svg = faceToSvgString(structuredClone(geometry));
  const groups = svg
    .slice(svg.indexOf("\n") + 1, svg.lastIndexOf("</svg>"))
    .split(/(?<=\n<\/g>)\n/)
    .filter(Boolean);
  const classes = FEATURES.flatMap(([feature, count, name]) =>
    (svgs[feature] as Record<string, string>)[geometry[feature].id]
      ? Array<number>(count).fill(FACE_CLASSES.findIndex((c) => c.name === name))
      : [],
  );
  if (groups.length !== classes.length) {
    throw new Error(
      `facesjs drew ${groups.length} groups where its features call for ${classes.length}: its drawing order has changed.`,
    );
  }
  return groups.map((group, i) => ({ class: classes[i]!, svg: group }));
}

/**
 * Draws a face in colors.
 *
 * @returns RGB bytes `[size, size, 3]`
 */
export async function drawFace(drawing: FaceDrawing, colors: FaceColors, size: number): Promise<Uint8Array> {
  const paints: Record<string, string> = {
    skinColor: colors.skin,
    hairColor: colors.hair,
    primary: colors.primary,
    secondary: colors.secondary,
    accent: colors.accent,
    shave: `rgba(0,0,0,${colors.shave})`,
  };
  const body = drawing
    .map((group) => group.svg)
    .join("")
    .replace(/\$\[(\w+)\]/g, (_, name: string) => paints[name]!);
  return halve(await rasterize(page(size * 2, colors.background, body)), size);
}

/** A pixel is voted on by `VOTES × VOTES` points, so that a part's edge lies where it lies in the image. */
const VOTES = 4;

/**
 * The semantic map of a face: each pixel's class is the one that covers most of it. Brows, mouths and frames are
 * thinner than a pixel at 32 px; their points count double, or half of them would be lost.
 *
 * @returns class numbers `[size, size]` into {@link FACE_CLASSES}
 */
export async function drawSemanticMap(drawing: FaceDrawing, size: number): Promise<Uint8Array> {
  const body = drawing.map((group) =>
    repaint(group.svg, classPaint(group.class), (paint) => mapPaint(paint, group.class)),
  );
  const pixels = await rasterize(page(size * VOTES, classPaint(0), body.join(""), 'shape-rendering="crispEdges"'));
  const stride = size * VOTES;
  const votes = new Uint8Array(FACE_CLASSES.length);
  const map = new Uint8Array(size * size);
  for (let y = 0, at = 0; y < size; y++) {
    for (let x = 0; x < size; x++, at++) {
      votes.fill(0);
      let winner = 0;
      for (let dy = 0; dy < VOTES; dy++) {
        const row = (y * VOTES + dy) * stride + x * VOTES;
        for (let dx = 0; dx < VOTES; dx++) {
          const c = classOfPaint(pixels, 3 * (row + dx));
          votes[c]! += THIN[c] ? 2 : 1;
          if (votes[c]! > votes[winner]!) winner = c;
        }
      }
      map[at] = winner;
    }
  }
  return map;
}

const THIN = FACE_CLASSES.map(
  ({ name }) => name === "eyebrow" || name === "mouth" || name === "glasses" || name === "eye",
);

/** Classes lie on a coarse lattice of colors, so that the rare blended pixel has one nearest class. */
function classPaint(index: number): string {
  return `rgb(${(index % 3) * 127},${(Math.floor(index / 3) % 3) * 127},${Math.floor(index / 9) * 127})`;
}

function classOfPaint(pixels: Uint8Array, at: number): number {
  const level = (value: number) => (value < 64 ? 0 : value < 191 ? 1 : 2);
  const index = level(pixels[at]!) + 3 * level(pixels[at + 1]!) + 9 * level(pixels[at + 2]!);
  return Math.min(index, FACE_CLASSES.length - 1);
}

/** In the map a lens, its glare or a shaven shadow is not there: what is behind it shows. */
function mapPaint(paint: string, index: number): string {
  const glare = paint === "#fff" && FACE_CLASSES[index]!.name === "glasses";
  return glare || isVeil(paint) ? "none" : classPaint(index);
}

/** A half-transparent paint: a lens, a shaven shadow. */
function isVeil(paint: string): boolean {
  return paint.startsWith("rgba") || paint === "$[shave]";
}

/**
 * A stroke is drawn at least this many pixels wide in a line drawing, or it would break into dots: a line that runs
 * between two pixels covers `LINE_WIDTH / 2` of each, which is just enough for `LINE_INK`.
 */
const LINE_WIDTH = 0.8;
const LINE_INK = 0.39;
/** Strokes that are thinner than this many pixels, the wrinkles at 32 px, are not widened: they would fill the face. */
const FINEST_LINE = 0.2;

/**
 * The black lines of a face without its colors. Colored shapes that facesjs leaves without an outline, such as beards,
 * get one: a sketch would show them.
 *
 * @returns 0 or 1 (line) `[size, size]`
 */
export async function drawLines(drawing: FaceDrawing, size: number): Promise<Uint8Array> {
  const pixel = VIEW.side / size;
  const widen = (own: number) => (own < FINEST_LINE * pixel ? own : Math.max(own, LINE_WIDTH * pixel));
  const body = drawing.map(({ svg }) =>
    repaint(svg.replace(COLORED_SHAPE, outlined), "#000", linePaint)
      .replace(
        /stroke-width(="|:)([\d.]+)/g,
        (_, sign: string, own: string) => `stroke-width${sign}${widen(Number(own))}`,
      )
      .replace("<g", `<g stroke-width="${LINE_WIDTH * pixel}"`),
  );
  const ink = inkOf(await rasterize(page(size, "#fff", body.join(""))));
  return ink.map((value) => (value >= LINE_INK * 255 ? 1 : 0));
}

const COLORED_SHAPE = /<(?:path|ellipse|circle)[^>]*\$\[(?:hairColor|primary|secondary|accent)\][^>]*>/g;

function outlined(shape: string): string {
  return /stroke[=:]/.test(shape) ? shape : shape.replace(/<\w+/, '$& stroke="#000"');
}

function linePaint(paint: string): string {
  if (paint === "#000") return "#000";
  // A gradient is a half-transparent shade over the head: white would hide the head's outline.
  return isVeil(paint) || paint.startsWith("url") ? "none" : "#fff";
}

/** Replaces every paint of a group; what names no fill is `fill` (black, by SVG's default, in the original). */
function repaint(group: string, fill: string, paint: (paint: string) => string): string {
  return group
    .replace(/(?:;|\s)?(?:(?:fill-|stroke-)?opacity|mix-blend-mode)(?:="[^"]*"|:[^;"]*)/g, "")
    .replace(/(fill|stroke)(="|:)([^";]+)/g, (_, kind: string, sign: string, own: string) => {
      return `${kind}${sign}${own === "none" ? "none" : paint(own)}`;
    })
    .replace("<g", `<g fill="${fill}"`);
}

function page(pixels: number, background: string, body: string, attributes = ""): string {
  const { x, y, side } = VIEW;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${pixels}" height="${pixels}" viewBox="${x} ${y} ${side} ${side}" ${attributes}>` +
    `<rect x="${x}" y="${y}" width="${side}" height="${side}" fill="${background}"/>${body}</svg>`
  );
}
