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
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { flareGame, flareGameAtHand, heroLicence } from "../../src/data/heroes/flare-game.ts";
import { heroesRecipe } from "../../src/data/heroes/recipe.ts";
import { Wardrobe } from "../../src/data/heroes/wardrobe.ts";
import {
  cacheFolder,
  dataLicences,
  HERO_BODIES,
  HERO_GROUND,
  HERO_OUTFITS,
  HERO_PARTS,
  HERO_POINTS,
} from "../../src/data/index.ts";

const DRAWINGS = "usr/share/games/flare/mods/fantasycore";
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

/** Puts programs in the place of apt-get and dpkg: apt knows the package once its lists are fetched; `body` is what dpkg does. */
function fakeTools({
  lists = true,
  dpkg = `mkdir -p "$3/${DRAWINGS}" "$3/usr/share/doc/flare-game" "$3/usr/games"`,
} = {}) {
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
    const game = await flareGame(cache, (message) => messages.push(message));
    expect(game).toEqual({ folder: join(cache, "flare-game", DRAWINGS), version: "of unknown version" });
    expect(messages).toEqual([
      "The data set heroes is drawn from the Debian package flare-game, which is fetched now (123 MB).",
    ]);
    expect(await flareGame(cache, (message) => messages.push(message))).toEqual(game);
    expect([messages.length, calls()]).toEqual([1, ["download flare-game"]]);
    expect(readdirSync(cache)).toEqual(["flare-game"]);
    expect(existsSync(join(cache, "flare-game", "usr", "games"))).toBe(false);
  });

  it("is fetched after apt's lists by root; others are told", async () => {
    const calls = fakeTools({ lists: false });
    const user = vi.spyOn(process, "getuid").mockReturnValue(1000);
    await expect(flareGame(cache, () => {})).rejects.toThrow(
      "The data set heroes needs the Debian package flare-game, which could not be fetched: E: Unable to locate package " +
        'flare-game. On Debian or Ubuntu, run "apt-get update" as root and try again. Elsewhere, unpack the file ' +
        'flare-game_*_all.deb of Debian\'s archive ("ar x", then "tar xf data.tar.*") and name that folder in ' +
        "IQVAE_FLARE_GAME. All other data sets work without it.",
    );
    expect(readdirSync(cache)).toEqual([]);
    user.mockReturnValue(0);
    await flareGame(cache, () => {});
    expect(calls()).toEqual(
      ["download", "download", "update", "download"].map((call) => call.replace("load", "load flare-game")),
    );
  });

  it("is asked for where there is no apt, and where the archive is damaged", async () => {
    const tools = process.env.PATH;
    vi.stubEnv("PATH", root);
    vi.spyOn(process, "getuid").mockReturnValue(1000);
    await expect(flareGame(cache, () => {})).rejects.toThrow("could not be fetched: spawn apt-get ENOENT. On Debian");
    vi.stubEnv("PATH", tools);
    fakeTools({ dpkg: 'echo "dpkg-deb: error: not a Debian format archive" >&2; exit 2' });
    await expect(flareGame(cache, () => {})).rejects.toThrow(
      "fetched: dpkg-deb: error: not a Debian format archive. On",
    );
    expect(readdirSync(cache)).toEqual([]);
  });

  it("two that fetch at once both get it", async () => {
    fakeTools();
    const games = await Promise.all([1, 2].map(() => flareGame(cache, () => {})));
    expect(games[0]).toEqual(games[1]);
    expect(readdirSync(cache)).toEqual(["flare-game"]);
  });

  it("is not fetched where a folder is named, and a wrong folder is told", async () => {
    vi.stubEnv("IQVAE_FLARE_GAME", root);
    await expect(flareGame(cache, () => {})).rejects.toThrow(
      "IQVAE_FLARE_GAME must name a folder that the Debian package flare-game was unpacked into, but " +
        `${join(root, DRAWINGS)} is not there. Unpack it with: dpkg -x flare-game_*_all.deb ${root}`,
    );
    mkdirSync(join(root, DRAWINGS), { recursive: true });
    expect((await flareGame(cache, () => {})).folder).toBe(join(root, DRAWINGS));
  });

  it("is among the licenses only where it is at hand, as THIRD_PARTY.md says", () => {
    vi.stubEnv("IQVAE_FLARE_GAME", root);
    const names = () => dataLicences().map(({ package: name }) => name);
    expect(names()).not.toContain("flare-game");
    mkdirSync(join(root, DRAWINGS), { recursive: true });
    expect(names()).toContain("flare-game");
    const text = readFileSync(new URL("../../../../THIRD_PARTY.md", import.meta.url), "utf8");
    const row = text.split("\n").find((line) => line.includes("`flare-game`"));
    const { author, licence, url } = heroLicence({ folder: root, version: "1.14-1" });
    for (const entry of ["1.14-1", author, licence, url]) expect(row).toContain(entry);
  });
});

describe("the real package", () => {
  it("has all garments in all poses, and gives the split that the documents state", async ({ skip }) => {
    if (real === undefined) return skip("it has not been fetched: npx iqvae data heroes");
    const wardrobe = new Wardrobe(real.folder);
    const poses = await wardrobe.poses();
    expect(poses.length).toBe(272);
    for (const body of HERO_BODIES) {
      for (const name of HERO_PARTS.flatMap((part) => HERO_OUTFITS[body][part])) {
        const { frames } = await wardrobe.layer(body, name);
        expect(
          poses.filter((pose) => !frames.has(pose)),
          `${body} ${name}`,
        ).toEqual([]);
      }
    }
    const { prepare } = heroesRecipe({ condition: "keypoints", size: 64, count: 6000, seed: 0 }, real);
    const { entries, draw } = await prepare();
    // Of 272 poses 41 are held out.
    expect(entries.filter(({ validation }) => validation).length / 6000).toBeCloseTo(41 / 272, 1);
    let [visible, onHero] = [0, 0];
    for (let i = 0; i < 300; i++) {
      const { image, condition } = (await draw(i))!;
      for (let k = 0; k < HERO_POINTS.points.length; k++) {
        const [x, y, seen] = condition.subarray(3 * k, 3 * k + 3);
        if (seen !== 1) continue;
        visible++;
        const at = Math.floor((y! / 256) * 64) * 64 + Math.floor((x! / 256) * 64);
        onHero += Number(image.subarray(3 * at, 3 * at + 3).join() !== HERO_GROUND.join());
      }
    }
    expect(visible / (300 * HERO_POINTS.points.length)).toBeGreaterThan(0.9);
    expect(onHero / visible).toBeGreaterThan(0.97);
  });
});
