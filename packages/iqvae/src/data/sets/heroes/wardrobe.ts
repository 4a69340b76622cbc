import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readRaster } from "../../../media/raster.ts";
import { type Frame, type FramesOf, parseDrawingOrder, parseFrames } from "./formats.ts";

export const HERO_BODIES = ["male", "female"] as const;
export type HeroBody = (typeof HERO_BODIES)[number];

/** What a person is drawn from, one layer each. */
export const HERO_PARTS = ["feet", "legs", "hands", "chest", "head"] as const;
export type HeroPart = (typeof HERO_PARTS)[number];

const MAGE = ["", "_alt1", "_alt2"];
const CLOTHES = {
  feet: ["cloth_sandals", "leather_boots", "chain_boots", "plate_boots", ...MAGE.map((kind) => `mage_boots${kind}`)],
  legs: ["cloth_pants", "leather_pants", "chain_greaves", "plate_greaves", ...MAGE.map((kind) => `mage_skirt${kind}`)],
  hands: [
    ...["cloth_gloves", "leather_gloves", "chain_gloves", "plate_gauntlets"],
    ...MAGE.map((kind) => `mage_sleeves${kind}`),
  ],
  chest: ["cloth_shirt", "leather_chest", "chain_cuirass", "plate_cuirass", ...MAGE.map((kind) => `mage_vest${kind}`)],
};
const HATS = ["leather_hood", "chain_coif", "plate_helm", ...MAGE.map((kind) => `mage_hood${kind}`)];

/**
 * What the condition leaves open: each part's look is drawn from its list, independently and each entry equally likely. The
 * first entry of each list is the default body, from which conditions are taken.
 */
export const HERO_OUTFITS: Readonly<Record<HeroBody, Readonly<Record<HeroPart, readonly string[]>>>> = {
  male: outfits("head_short", "head_bald"),
  female: outfits("head_long"),
};

function outfits(...heads: readonly string[]): Record<HeroPart, readonly string[]> {
  return {
    feet: ["default_feet", ...CLOTHES.feet],
    legs: ["default_legs", ...CLOTHES.legs],
    hands: ["default_hands", ...CLOTHES.hands],
    chest: ["default_chest", ...CLOTHES.chest],
    head: [...heads, ...HATS],
  };
}

/** One garment: its drawings of all poses in one picture. */
export interface Layer {
  /** RGBA bytes `[height, width, 4]`. */
  readonly pixels: Uint8Array;
  readonly width: number;
  /** Where the drawing of a pose is. */
  readonly frames: FramesOf;
}

/** A look for each part. */
export type Outfit = Readonly<Record<HeroPart, string>>;

/** The garments of the unpacked package, read when they are asked for. */
export class Wardrobe {
  readonly #folder: string;
  readonly #layers = new Map<string, Promise<Layer>>();
  /** The parts from the one drawn first to the one drawn last, for each of the eight directions. */
  readonly drawingOrder: readonly (readonly HeroPart[])[];

  /** @param folder with `images`, `animations` and `engine` */
  constructor(folder: string) {
    this.#folder = folder;
    this.drawingOrder = parseDrawingOrder(this.#text("engine/hero_layers.txt"), HERO_PARTS);
  }

  /** Names of the poses, alike for both bodies: `animation/frame/direction`. */
  async poses(): Promise<readonly string[]> {
    return [...(await this.layer("male", "default_chest")).frames.keys()];
  }

  /** @throws Error that names the file, for one that is missing or not as it should be */
  layer(body: HeroBody, name: string): Promise<Layer> {
    const path = animationOf(body, name);
    const known = this.#layers.get(path) ?? this.#read(path);
    this.#layers.set(path, known);
    return known;
  }

  /** SHA-256 of all files that pictures are drawn from. */
  fingerprint(): string {
    const hash = createHash("sha256");
    hash.update(this.#text("engine/hero_layers.txt"));
    for (const body of HERO_BODIES) {
      for (const name of HERO_PARTS.flatMap((part) => HERO_OUTFITS[body][part])) {
        const path = animationOf(body, name);
        hash.update(this.#text(path)).update(this.#bytes(this.#frames(path).image));
      }
    }
    return hash.digest("hex");
  }

  async #read(path: string): Promise<Layer> {
    const { image, frames } = this.#frames(path);
    const sheet = await readRaster(this.#bytes(image), 4).catch((error: Error) =>
      refuse(join(this.#folder, image), error.message),
    );
    const isOutside = ({ x, y, width, height }: Frame) => x + width > sheet.width || y + height > sheet.height;
    const [pose] = [...frames].find(([, frame]) => isOutside(frame)) ?? [];
    if (pose !== undefined) refuse(join(this.#folder, path), `its frame ${pose} is not within ${image}`);
    return { pixels: sheet.pixels, width: sheet.width, frames };
  }

  #frames(path: string) {
    return parseFrames(this.#text(path), join(this.#folder, path));
  }

  #text(path: string): string {
    return this.#bytes(path).toString("utf8");
  }

  #bytes(path: string): Buffer {
    try {
      return readFileSync(join(this.#folder, path));
    } catch (error) {
      return refuse(join(this.#folder, path), (error as Error).message);
    }
  }
}

function animationOf(body: HeroBody, name: string): string {
  return `animations/avatar/${body}/${name}.txt`;
}

function refuse(path: string, reason: string): never {
  throw new Error(`${path} cannot be used for the data set heroes: ${reason}. It must be as flare-game 1.14 has it.`);
}
