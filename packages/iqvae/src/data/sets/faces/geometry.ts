import { createHash } from "node:crypto";
import { generate } from "facesjs";
import { type Random, seededRandom } from "../../../support/random.ts";

/**
 * The shape of a face: the ids, sizes, angles, flips and fatness of facesjs. Its colors hold the placeholders of
 * facesjs' own drawings (`$[skinColor]`, …), so that a drawn geometry is a template to be colored.
 *
 * A type of our own: that of facesjs comes with declarations that do not compile without those of browsers.
 */
export interface FaceGeometry extends Record<PlainPart, Part> {
  fatness: number;
  teamColors: [string, string, string];
  body: Part & { color: string; size: number };
  ear: Part & { size: number };
  eye: Part & { angle: number };
  eyebrow: Part & { angle: number };
  hair: Part & { color: string; flip: boolean };
  head: Part & { shave: string };
  mouth: Part & { flip: boolean };
  nose: Part & { flip: boolean; size: number };
  smileLine: Part & { size: number };
}

/** A drawing of facesjs. */
interface Part {
  id: string;
}

type PlainPart = "accessories" | "eyeLine" | "facialHair" | "glasses" | "hairBg" | "jersey" | "miscLine";

/** `geometry`: no shape in both parts. `unseen-parts`: validation shows hair and heads that training never shows. */
export type FaceSplit = "geometry" | "unseen-parts";

/** What `unseen-parts` holds out. */
export const UNSEEN_PARTS = {
  hair: ["afro", "dreads", "parted", "female3", "female9"],
  head: ["head5", "head12"],
} as const;

/** Hats replace the hair, so the drawing would not be the one that the ids name. */
const HATS = new Set(["hat", "hat2", "hat3", "santa-hat"]);

/**
 * The shape of face number `index` of the endless series that `seed` names. Men and women are equally likely, which
 * brings all parts of facesjs into play.
 */
export function faceGeometry(seed: number, index: number): FaceGeometry {
  const random = seededRandom("face geometry", seed, index);
  for (;;) {
    const gender = random() < 0.5 ? "female" : "male";
    const face: FaceGeometry = withRandom(random, () => generate(undefined, { gender }));
    if (HATS.has(face.accessories.id)) continue;
    face.body.color = "$[skinColor]";
    face.hair.color = "$[hairColor]";
    face.head.shave = "$[shave]";
    face.teamColors = ["$[primary]", "$[secondary]", "$[accent]"];
    return face;
  }
}

/** The geometry behind an id of the `faces` data set, such as `face-0-17`. */
export function faceGeometryOf(id: string): FaceGeometry {
  const [, seed, index] = /^face-(-?\d+)-(\d+)$/.exec(id) ?? [];
  if (seed === undefined || index === undefined) {
    throw new Error(
      `faceGeometryOf("${id}"): expected an id of the faces data set, face-SEED-INDEX, such as "face-0-17".`,
    );
  }
  return faceGeometry(Number(seed), Number(index));
}

/** The id of face number `index` of the series `seed`: see {@link faceGeometryOf}. */
export function faceId(seed: number, index: number): string {
  return `face-${seed}-${index}`;
}

/** A name for a shape: equal shapes have equal hashes, and no color changes it. Hexadecimal SHA-256. */
export function geometryHash(geometry: FaceGeometry): string {
  return createHash("sha256").update(JSON.stringify(geometry)).digest("hex");
}

/** Whether a face belongs to validation; decided by its shape alone, whatever else is in the data set. */
export function isHeldOut(geometry: FaceGeometry, split: FaceSplit): boolean {
  if (split === "geometry") return Number.parseInt(geometryHash(geometry).slice(0, 8), 16) % 10 === 0;
  const unseen = (part: "hair" | "head") => (UNSEEN_PARTS[part] as readonly string[]).includes(geometry[part].id);
  return unseen("hair") || unseen("head");
}

/** facesjs takes no seed and asks `Math.random`, so that is replaced while it draws. It draws synchronously. */
function withRandom<T>(random: Random, body: () => T): T {
  const saved = Math.random;
  Math.random = random;
  try {
    return body();
  } finally {
    Math.random = saved;
  }
}
