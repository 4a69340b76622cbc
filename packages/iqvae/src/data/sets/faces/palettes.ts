import { choose, type Random } from "../../../support/random.ts";

/**
 * The colors that a face may have. Each is drawn independently and uniformly from its list, whatever the shape of the
 * face: together with {@link SHAVED_SHARE} these lists **are** the distribution of images for one geometry.
 *
 * Skin and hair are all the colors that facesjs knows, which itself draws the two together; team colors and
 * backgrounds are ours. `primary`, `secondary` and `accent` are three independent draws from `team`.
 */
export const FACE_PALETTES = {
  skin: [
    "#f2d6cb",
    "#ddb7a0",
    "#fedac7",
    "#f0c5a3",
    "#eab687",
    "#bb876f",
    "#aa816f",
    "#a67358",
    "#ad6453",
    "#74453d",
    "#5c3937",
  ],
  hair: ["#272421", "#3d2314", "#5a3825", "#cc9966", "#2c1608", "#b55239", "#e9c67b", "#d7bf91", "#0f0902", "#1c1008"],
  team: [
    "#d62839",
    "#f3722c",
    "#f9c74f",
    "#43aa4b",
    "#1b998b",
    "#89bfd3",
    "#2f6fde",
    "#07364f",
    "#7a1319",
    "#7b2cbf",
    "#f4f4f4",
    "#343a40",
  ],
  background: ["#ffffff", "#dfe7ec", "#f7e6c4", "#cfe8d5", "#f6d5d8", "#c9d6f2", "#9fb8ad", "#8d99ae"],
} as const;

/** One face in this many has a shaven shadow; its strength is uniform in `[0, 0.2]`, as facesjs draws it for men. */
export const SHAVED_SHARE = 0.25;
const SHAVE_STRENGTH = 0.2;

/** Everything about a face that its shape leaves open. Colors are `#rrggbb`; `shave` is an opacity of black. */
export interface FaceColors {
  readonly skin: string;
  readonly hair: string;
  readonly primary: string;
  readonly secondary: string;
  readonly accent: string;
  readonly background: string;
  readonly shave: number;
}

/** Draws the colors of a face from the true distribution: see {@link FACE_PALETTES}. */
export function drawColors(random: Random): FaceColors {
  return {
    skin: choose(FACE_PALETTES.skin, random),
    hair: choose(FACE_PALETTES.hair, random),
    primary: choose(FACE_PALETTES.team, random),
    secondary: choose(FACE_PALETTES.team, random),
    accent: choose(FACE_PALETTES.team, random),
    background: choose(FACE_PALETTES.background, random),
    shave: random() < SHAVED_SHARE ? random() * SHAVE_STRENGTH : 0,
  };
}
