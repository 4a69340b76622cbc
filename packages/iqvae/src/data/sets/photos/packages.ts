import type { DataPackage } from "../../packages.ts";

const FOLDER = "usr/share/gcompris-qt/rcc";

/** Archives of activities of GCompris that have photographs. */
export const PHOTO_ARCHIVES = [
  "categorization",
  "clickgame",
  "erase",
  "explore_farm_animals",
  "explore_monuments",
  "explore_world_animals",
].map((activity) => `${FOLDER}/${activity}.rcc`);

/** Photographs of animals, fish, monuments, windmills and tools. */
export const GCOMPRIS: DataPackage = {
  kind: "deb",
  name: "gcompris-qt-data",
  version: "3.1-2",
  sha256: "e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f",
  files: [...PHOTO_ARCHIVES, "usr/share/doc/gcompris-qt-data/copyright"],
  megabytes: 44,
  terms: {
    author: "photographers whom its copyright file names; collected by the GCompris developers",
    license: "by photograph, as its copyright file says: public domain, CC0, CC-BY, CC-BY-SA, GFDL or GPL-3.0-or-later",
    url: "https://invent.kde.org/education/gcompris",
  },
};
