import type { DataPackage } from "../../packages.ts";

export const STAMP_ROOT = "usr/share/tuxpaint/stamps";

/** Classes and the folders of stamps that have them. Folders within these are left out: they hold drawings, or other classes. */
export const STAMP_FOLDERS: Readonly<Record<string, readonly string[]>> = {
  bird: ["animals/birds"],
  fish: ["animals/fish"],
  insect: ["animals/insects"],
  hoofed: ["bovines", "camel", "deer", "equines"].map((folder) => `animals/mammals/${folder}`),
  predator: ["bears", "cats", "dogs"].map((folder) => `animals/mammals/${folder}`),
  rodent: ["animals/mammals/rodents"],
  fruit: ["food/fruit"],
  vegetable: ["food/vegetables"],
  flower: ["plants/flowers"],
  instrument: ["brass", "percussion", "string", "wind"].map((folder) => `hobbies/music/${folder}`),
  tool: ["household/tools"],
  planet: ["space/planets", "space/moon"],
};

/** Cut-outs of photographs, with transparency: the stamps of Tux Paint. */
export const TUX_PAINT: DataPackage = {
  kind: "deb",
  name: "tuxpaint-stamps-default",
  version: "2022.06.04-1",
  sha256: "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
  files: [
    ...Object.values(STAMP_FOLDERS).flatMap((folders) => folders.map((folder) => `${STAMP_ROOT}/${folder}`)),
    "usr/share/doc/tuxpaint-stamps-default",
  ],
  megabytes: 161,
  terms: {
    author: "Bill Kendrick and the contributors of Tux Paint",
    license: "GPL-2.0-only (as a whole; that of single stamps is not stated)",
    url: "https://tuxpaint.org",
  },
};

const NATURE = "usr/share/backgrounds/mate/nature";

/** Photographs that stamps are put on. */
export const GROUND_FILES = ["Blinds", "Dune", "GreenMeadow", "Storm", "Wood"].map((name) => `${NATURE}/${name}.jpg`);

export const MATE_BACKGROUNDS: DataPackage = {
  kind: "deb",
  name: "mate-backgrounds",
  version: "1.26.0-1",
  sha256: "7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04",
  files: [...GROUND_FILES, "usr/share/doc/mate-backgrounds/copyright"],
  megabytes: 47,
  terms: {
    author: "the contributors of MATE and GNOME, whom its copyright file names",
    license: "GPL-2.0-or-later",
    url: "https://github.com/mate-desktop/mate-backgrounds",
  },
};

export const STAMP_PACKAGES: readonly DataPackage[] = [TUX_PAINT, MATE_BACKGROUNDS];
