import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import sharp from "sharp";
import { HERO_BODIES, HERO_OUTFITS, HERO_PARTS, type HeroBody, type HeroPart } from "../../../src/data/index.ts";

/** Frames of each animation: those of `stance` hardly differ, those of `run` do. */
const ANIMATIONS = { stance: 3, run: 7 } as const;
/** Poses of the tiny package. */
export const TINY_POSES = 8 * (ANIMATIONS.stance + ANIMATIONS.run);

/** Left, top, right and bottom of what a part covers, from the point on the ground. */
const SHAPES: Readonly<Record<HeroPart, readonly (readonly [number, number, number, number])[]>> = {
  feet: [
    [-5, -12, -2, 0],
    [2, -12, 5, 0],
  ],
  legs: [[-5, -20, 5, -12]],
  hands: [
    [-10, -32, -7, -22],
    [7, -32, 10, -22],
  ],
  chest: [[-7, -34, 7, -20]],
  head: [[-4, -42, 4, -34]],
};

/** The cell of a frame, and where in it a hero stands. */
const [CELL, STAND_X, STAND_Y] = [48, 24, 44];
const COLUMNS = 8;

/** The color of a garment: tells part and garment apart. */
export function tinyColor(body: HeroBody, part: HeroPart, garment: number): readonly [number, number, number] {
  return [40 * HERO_PARTS.indexOf(part) + 20, 28 * garment + 10, body === "male" ? 60 : 200];
}

/**
 * Writes what the Debian package `flare-game` unpacks to, as far as it is used and in its formats, with people made of
 * rectangles. All garments but the first of a list are a pixel wider on each side, and each has a shadow.
 */
export async function writeTinyFlare(root: string): Promise<void> {
  const game = "usr/share/games/flare/mods/fantasycore";
  const write = (path: string, content: string | Uint8Array) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  };
  write(
    "usr/share/doc/flare-game/changelog.Debian.gz",
    gzipSync("flare-game (0.1-1) unstable; urgency=medium\n\n  * Rectangles.\n"),
  );
  const orders = Array.from({ length: 8 }, (_, direction) =>
    direction < 4 ? "main,feet,legs,hands,chest,head,off" : "off,feet,legs,chest,hands,head,main",
  );
  write(
    `${game}/engine/hero_layers.txt`,
    `# layer=direction, list of types\n${orders.map((order, i) => `layer=${i},${order}\n`).join("")}`,
  );
  for (const body of HERO_BODIES) {
    for (const part of HERO_PARTS) {
      for (const [garment, name] of HERO_OUTFITS[body][part].entries()) {
        write(`${game}/animations/avatar/${body}/${name}.txt`, animationFile(`images/avatar/${body}/${name}.png`));
        const picture = garmentPicture(part, tinyColor(body, part, garment), garment === 0 ? 0 : 1);
        write(`${game}/images/avatar/${body}/${name}.png`, await picture);
      }
    }
  }
}

function animationFile(image: string): string {
  let cell = 0;
  const sections = Object.entries(ANIMATIONS).map(([animation, frames]) => {
    const lines = Array.from({ length: 8 * frames }, (_, i) => {
      const [frame, direction] = [Math.floor(i / 8), i % 8];
      const [x, y] = [(cell % COLUMNS) * CELL, Math.floor(cell / COLUMNS) * CELL];
      cell++;
      // Rectangles look alike from all sides: the direction shows in the height, a running hero's frame in the place.
      const left = STAND_X + (animation === "run" ? 3 * (frame - 3) : 0);
      return `frame=${frame},${direction},${x},${y},${CELL},${CELL},${left},${STAND_Y + 4 - direction}`;
    });
    return `[${animation}]\nframes=${frames}\nduration=800ms\ntype=looped\n${lines.join("\n")}\n`;
  });
  return `image=${image}\n\n${sections.join("\n")}`;
}

async function garmentPicture(part: HeroPart, color: readonly number[], wider: number): Promise<Buffer> {
  const [width, height] = [COLUMNS * CELL, (TINY_POSES / COLUMNS) * CELL];
  const pixels = Buffer.alloc(width * height * 4);
  const fill = (x: number, y: number, rgba: readonly number[]) => pixels.set(rgba, 4 * (y * width + x));
  for (let cell = 0; cell < TINY_POSES; cell++) {
    const [x0, y0] = [(cell % COLUMNS) * CELL + STAND_X, Math.floor(cell / COLUMNS) * CELL + STAND_Y];
    for (const [left, top, right, bottom] of SHAPES[part]) {
      for (let y = top; y < bottom; y++) {
        for (let x = left - wider; x < right + wider; x++) fill(x0 + x, y0 + y, [...color, 255]);
      }
    }
    fill(x0 + 12 + HERO_PARTS.indexOf(part), y0 + 2, [0, 0, 0, 102]);
  }
  return await sharp(pixels, { raw: { width, height, channels: 4 } })
    .png()
    .toBuffer();
}
