import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  cacheFolder,
  dataLicenses,
  dataPackages,
  HERO_BODIES,
  HERO_OUTFITS,
  HERO_PARTS,
  type HeroPart,
  openDataset,
} from "../../../src/data/index.ts";
import { drawHero, drawParts } from "../../../src/data/sets/heroes/draw.ts";
import { FLARE_GAME, flareGame, flareGameAtHand, heroLicense } from "../../../src/data/sets/heroes/flare-game.ts";
import { keyPointsOfHero } from "../../../src/data/sets/heroes/key-points.ts";
import { layersOf } from "../../../src/data/sets/heroes/recipe.ts";
import { heldOutPoses } from "../../../src/data/sets/heroes/split.ts";
import { type Outfit, Wardrobe } from "../../../src/data/sets/heroes/wardrobe.ts";
import { packageFolderOf } from "../../../src/support/packages.ts";

const DRAWINGS = "usr/share/games/flare/mods/fantasycore";
const DOCUMENTS = "usr/share/doc/flare-game";
/** Where the package really is, if it is: other tests set the variables to folders of their own. */
const real = flareGameAtHand(cacheFolder());

let root: string;
let cache: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "iqvae-flare-"));
  cache = join(root, "cache");
  vi.stubEnv("IQVAE_FLARE_GAME", undefined);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  rmSync(root, { recursive: true });
});

/** Puts a program in the place of apt-get that downloads a file of another content. */
function forgingApt() {
  const bin = join(root, "bin");
  mkdirSync(bin);
  const log = join(root, "calls");
  writeFileSync(join(bin, "apt-get"), `#!/bin/sh\necho "$@" >> "${log}"\necho forged > flare-game_9.9_all.deb\n`);
  chmodSync(join(bin, "apt-get"), 0o755);
  vi.stubEnv("PATH", bin);
  return () => (existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : []);
}

describe("the package of heroes", () => {
  it("is fetched in one edition, and refused and not kept when its file is another", async () => {
    const calls = forgingApt();
    const messages: string[] = [];
    const fetched = flareGame(cache, true, (message) => messages.push(message));
    await expect(fetched).rejects.toThrow(
      / could not be fetched .* its file has the SHA-256 .* was altered.*\n.*unpack it, and name .* IQVAE_FLARE_GAME\.$/,
    );
    expect(messages[0]).toBe("The data set heroes needs flare-game 1.14-1, 123 MB.");
    expect(calls()).toEqual(["download flare-game=1.14-1"]);
    expect(readdirSync(join(cache, "packages"))).toEqual([]);
  });

  it("is not fetched unasked: the command is said", async () => {
    const calls = forgingApt();
    const refused = flareGame(cache, false, () => {});
    await expect(refused).rejects.toThrow("flare-game 1.14-1 (123 MB)");
    await expect(refused).rejects.toThrow("npx iqvae data heroes --fetch");
    await expect(openDataset({ name: "heroes", condition: "keypoints", size: 64, cacheDir: cache })).rejects.toThrow(
      "npx iqvae data heroes --fetch",
    );
    expect(calls()).toEqual([]);
  });

  it("is taken from the cache, and listed as at hand there or where the variable says", async () => {
    const listed = () => dataPackages(cache).find(({ package: { name } }) => name === "flare-game");
    expect(listed()).toMatchObject({ sets: ["heroes"], folder: undefined });
    const folder = packageFolderOf(FLARE_GAME, cache);
    for (const file of FLARE_GAME.files!) mkdirSync(join(folder, file), { recursive: true });
    const game = await flareGame(cache, false, () => {});
    expect(game).toEqual({ root: folder, folder: join(folder, DRAWINGS), version: "1.14-1", isFetched: true });
    expect(listed()!.folder).toBe(folder);
    await expect(openDataset({ name: "heroes", condition: "keypoints", size: 64, cacheDir: cache })).rejects.toThrow(
      `The package in ${folder} cannot be read (${join(game.folder, "engine/hero_layers.txt")} cannot be used`,
    );
    vi.stubEnv("IQVAE_FLARE_GAME", root);
    expect(listed()!.folder).toBeUndefined();
    mkdirSync(join(root, DRAWINGS), { recursive: true });
    expect(listed()!.folder).toBe(root);
  });

  it("has no known version in a folder of the user's whose documents are damaged", () => {
    vi.stubEnv("IQVAE_FLARE_GAME", root);
    for (const part of [DRAWINGS, DOCUMENTS]) mkdirSync(join(root, part), { recursive: true });
    writeFileSync(join(root, DOCUMENTS, "changelog.Debian.gz"), "damaged");
    expect(flareGameAtHand(cache)!.version).toBe("of unknown version");
  });

  it("is not fetched where a folder is named, and a wrong folder is told", async () => {
    vi.stubEnv("IQVAE_FLARE_GAME", root);
    await expect(flareGame(cache, true, () => {})).rejects.toThrow(
      "IQVAE_FLARE_GAME must name a folder that the Debian package flare-game was unpacked into, but " +
        `${join(root, DRAWINGS)} is not there. Unpack it with: dpkg -x flare-game_*_all.deb ${root}`,
    );
    mkdirSync(join(root, DRAWINGS), { recursive: true });
    expect((await flareGame(cache, true, () => {})).folder).toBe(join(root, DRAWINGS));
  });

  it("is among the licenses only where it is at hand, as THIRD_PARTY.md says", () => {
    vi.stubEnv("IQVAE_FLARE_GAME", root);
    const names = () => dataLicenses().map(({ package: name }) => name);
    expect(names()).not.toContain("flare-game");
    mkdirSync(join(root, DRAWINGS), { recursive: true });
    expect(names()).toContain("flare-game");
    const text = readFileSync(new URL("../../../../../THIRD_PARTY.md", import.meta.url), "utf8");
    const row = text.split("\n").find((line) => line.includes("`flare-game`"));
    const { author, license, url } = heroLicense({ version: "1.14-1" });
    for (const entry of ["1.14-1", author, license, url]) expect(row).toContain(entry);
  });
});

describe("the real package", () => {
  /** Written by tools/goldens_heroes.py with Pillow and scipy. */
  const golden = JSON.parse(readFileSync(new URL("../../goldens/heroes.json", import.meta.url), "utf8")) as {
    readonly [key: string]: unknown;
  };

  it("gives the images, maps, key points and split of the reference, byte for byte", async ({ skip }) => {
    if (real === undefined) return skip("it has not been fetched: npx iqvae data heroes --fetch");
    if (real.version !== golden.version) return skip(`the reference is of ${golden.version}, this is ${real.version}`);
    const wardrobe = new Wardrobe(real.folder);
    const poses = [...(await wardrobe.poses())].sort();
    const hashes = { images: createHash("sha256"), maps: createHash("sha256"), points: createHash("sha256") };
    const mapsOf = new Map<string, Uint8Array[]>();
    for (const [number, pose] of poses.entries()) {
      for (const body of HERO_BODIES) {
        const outfit = (garment: (part: HeroPart) => number) =>
          Object.fromEntries(
            HERO_PARTS.map((part) => [
              part,
              HERO_OUTFITS[body][part].at(garment(part) % HERO_OUTFITS[body][part].length),
            ]),
          ) as Outfit;
        const dressed = await layersOf(
          wardrobe,
          { body, pose },
          outfit((part) => number + 3 * HERO_PARTS.indexOf(part)),
        );
        const bare = await layersOf(
          wardrobe,
          { body, pose },
          outfit(() => 0),
        );
        const map = drawParts(bare, pose);
        mapsOf.set(pose, [...(mapsOf.get(pose) ?? []), map]);
        hashes.images.update(drawHero(dressed, pose));
        hashes.maps.update(map);
        hashes.points.update(keyPointsOfHero(map));
      }
    }
    const digests = Object.fromEntries(Object.entries(hashes).map(([name, hash]) => [name, hash.digest("hex")]));
    const heldOut = [...heldOutPoses(mapsOf)].sort();
    expect({ version: real.version, poses: poses.length, heldOut, ...digests }).toEqual(golden);
  });
});
