import type { Rgb } from "../../../conditions/spec.ts";
import type { OpenTrait } from "../../facts.ts";
import { FACE_CLASSES } from "./draw.ts";
import { FACE_PALETTES } from "./palettes.ts";

/**
 * What is read of a face. A jersey may show three team colors; the one that most of it has is one of three independent draws from
 * one palette, so it follows that palette too.
 */
const REGIONS = [
  ["skin", "head", FACE_PALETTES.skin],
  ["hair", "hair", FACE_PALETTES.hair],
  ["jersey", "jersey", FACE_PALETTES.team],
  ["background", "background", FACE_PALETTES.background],
] as const;

/** The colors that a face leaves open, by its semantic map. */
export function openColors(map: Uint8Array): readonly OpenTrait[] {
  return REGIONS.map(([name, wanted, palette]) => ({
    name,
    region: { map, label: FACE_CLASSES.findIndex((one) => one.name === wanted) },
    modes: { kind: "colors", colors: palette.map(colorOf) },
  }));
}

function colorOf(hex: string): Rgb {
  const value = Number.parseInt(hex.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}
