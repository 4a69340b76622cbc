import { createHash } from "node:crypto";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  cacheFolder,
  dataLicenses,
  HERO_BODIES,
  HERO_OUTFITS,
  HERO_PARTS,
  type HeroPart,
  openDataset,
} from "../../../src/data/index.ts";
import { drawHero, drawParts } from "../../../src/data/sets/heroes/draw.ts";
import { flareGame, flareGameAtHand, heroLicense } from "../../../src/data/sets/heroes/flare-game.ts";
import { keyPointsOfHero } from "../../../src/data/sets/heroes/key-points.ts";
import { layersOf } from "../../../src/data/sets/heroes/recipe.ts";
import { heldOutPoses } from "../../../src/data/sets/heroes/split.ts";
import { type Outfit, Wardrobe } from "../../../src/data/sets/heroes/wardrobe.ts";

const DRAWINGS = "usr/share/games/flare/mods/fantasycore";
/** Where the package really is, if it is: other tests set the variables to folders of their own. */
const real = flareGameAtHand(cacheFolder());

const UNPACK = ["images/avatar", "images/enemies", "animations/avatar", "engine"]
  .map((folder) => `${DRAWINGS}/${folder}`)
  .concat("usr/share/doc/flare-game", "usr/games")
  .map((folder) => `mkdir -p "$3/${folder}"`)
  .join("\n");

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

/** Puts programs in the place of apt-get and dpkg: apt knows the package once its lists are fetched; `body` is what dpkg does. */
function fakeTools({ lists = true, dpkg = UNPACK } = {}) {
  const bin = join(root, "bin");
  mkdirSync(bin);
  const log = join(root, "calls");
  if (lists) writeFileSync(join(root, "lists"), "");
  const apt = [
    `echo "$@" >> "${log}"`,
    `if [ "$1" = update ]; then touch "${join(root, "lists")}"; exit 0; fi`,
    `if [ -f "${join(root, "lists")}" ]; then touch flare-game_0.1-1_all.deb; exit 0; fi`,
    'echo "Reading package lists..." >&2',
    'echo "E: Unable to locate package flare-game" >&2; exit 100',
  ];
  for (const [name, lines] of [
    ["apt-get", apt],
    ["dpkg", [dpkg]],
  ] as const) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${lines.join("\n")}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  vi.stubEnv("PATH", `${bin}${delimiter}${process.env.PATH}`);
  return () => readFileSync(log, "utf8").trim().split("\n");
}

describe("the package of heroes", () => {
  it("is fetched once, and of it only what is used is kept", async () => {
    const calls = fakeTools();
    const messages: string[] = [];
    const game = await flareGame(cache, true, (message) => messages.push(message));
    expect(game).toEqual({ folder: join(cache, "flare-game", DRAWINGS), version: "of unknown version" });
    expect(messages).toEqual([
      "The data set heroes is drawn from the Debian package flare-game, which is fetched now (123 MB).",
    ]);
    expect(await flareGame(cache, true, (message) => messages.push(message))).toEqual(game);
    expect([messages.length, calls()]).toEqual([1, ["download flare-game"]]);
    expect(readdirSync(cache)).toEqual(["flare-game"]);
    expect(readdirSync(join(cache, "flare-game", "usr"))).toEqual(["share"]);
    expect(readdirSync(join(game.folder, "images"))).toEqual(["avatar"]);
  });

  it("is not fetched unasked: the command is said", async () => {
    const calls = fakeTools();
    writeFileSync(join(root, "calls"), "none");
    const refused = flareGame(cache, false, () => {});
    await expect(refused).rejects.toThrow("flare-game (123 MB)");
    await expect(refused).rejects.toThrow("npx iqvae data heroes --fetch");
    await expect(openDataset({ name: "heroes", condition: "keypoints", size: 64, cacheDir: cache })).rejects.toThrow(
      "npx iqvae data heroes --fetch",
    );
    expect(calls()).toEqual(["none"]);
  });

  it("is fetched after apt's lists by root; others are told", async () => {
    const calls = fakeTools({ lists: false });
    const user = vi.spyOn(process, "getuid").mockReturnValue(1000);
    await expect(flareGame(cache, true, () => {})).rejects.toThrow(
      "The data set heroes needs the Debian package flare-game, which could not be fetched: E: Unable to locate package " +
        'flare-game. On Debian or Ubuntu, run "apt-get update" as root and try again. Elsewhere, unpack the file ' +
        'flare-game_*_all.deb of Debian\'s archive ("ar x", then "tar xf data.tar.*") and name that folder in ' +
        "IQVAE_FLARE_GAME. All other data sets work without it.",
    );
    expect(readdirSync(cache)).toEqual([]);
    user.mockReturnValue(0);
    await flareGame(cache, true, () => {});
    expect(calls()).toEqual(
      ["download", "download", "update", "download"].map((call) => call.replace("load", "load flare-game")),
    );
  });

  it("is asked for where there is no apt, no folder for it, or a damaged archive", async () => {
    const tools = process.env.PATH;
    vi.stubEnv("PATH", root);
    vi.spyOn(process, "getuid").mockReturnValue(1000);
    await expect(flareGame(cache, true, () => {})).rejects.toThrow(
      "could not be fetched: spawn apt-get ENOENT. On Debian",
    );
    vi.stubEnv("PATH", tools);
    writeFileSync(join(root, "file"), "");
    await expect(flareGame(join(root, "file"), true, () => {})).rejects.toThrow(
      /could not be fetched: Could not write .*file.*: a part of the path is a file/,
    );
    fakeTools({ dpkg: 'echo "dpkg-deb: error: not a Debian format archive" >&2; exit 2' });
    await expect(flareGame(cache, true, () => {})).rejects.toThrow(
      "fetched: dpkg-deb: error: not a Debian format archive. On",
    );
    expect(readdirSync(cache)).toEqual([]);
  });

  it("what a killed process left goes, what another one writes stays", async () => {
    fakeTools();
    for (const name of ["old", "new"]) mkdirSync(join(cache, `flare-game.${name}.part`, "all"), { recursive: true });
    utimesSync(join(cache, "flare-game.old.part"), new Date(0), new Date(0));
    await flareGame(cache, true, () => {});
    expect(readdirSync(cache)).toEqual(["flare-game", "flare-game.new.part"]);
  });

  it("two that fetch at once both get it", async () => {
    fakeTools();
    const games = await Promise.all([1, 2].map(() => flareGame(cache, true, () => {})));
    expect(games[0]).toEqual(games[1]);
    expect(readdirSync(cache)).toEqual(["flare-game"]);
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
    const { author, license, url } = heroLicense({ folder: root, version: "1.14-1" });
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
