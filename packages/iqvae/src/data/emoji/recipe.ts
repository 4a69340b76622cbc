import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ImageSize } from "../dataset.ts";
import { installedVersion, type Licence, packageFolder } from "../licences.ts";
import { rasterise, shrink } from "../raster.ts";
import type { Recipe } from "../recipe.ts";
import { EMOJI_VENDORS, type EmojiVendor, emojiIcons, emojiSvg, isConceptHeldOut } from "./concepts.ts";
import { colourEdges } from "./edges.ts";

/** Raise it whenever the pixels, the choice or the order of the pairs change. */
const VERSION = 2;

/** How the `emoji` pairs are drawn. They are as many as the packages hold; nothing about them is random. */
export function emojiRecipe(size: ImageSize): Recipe {
  const licences = EMOJI_VENDORS.map(licenceOf);
  const versions = Object.fromEntries(licences.map((licence) => [licence.package, licence.version]));
  return {
    name: "emoji",
    condition: { kind: "edges" },
    parts: { version: VERSION, ...versions, sharp: installedVersion("sharp"), condition: "edges", size },
    licences,
    prepare() {
      const icons = emojiIcons();
      const entries = icons.map(({ vendor, name, concept }) => ({
        id: `${concept}/${vendor}/${name}`,
        validation: isConceptHeldOut(concept),
      }));
      const draw = async (index: number) => {
        const image = shrink(await rasterise(emojiSvg(icons[index]!, size * 2)), size, 2);
        return { image, condition: colourEdges(image, size) };
      };
      return { entries, draw };
    },
  };
}

interface IconifyInfo {
  readonly author: { readonly name: string; readonly url: string };
  readonly license: { readonly spdx: string };
}

function licenceOf(vendor: EmojiVendor): Licence {
  const name = `@iconify-json/${vendor}`;
  const info = JSON.parse(readFileSync(join(packageFolder(name), "info.json"), "utf8")) as IconifyInfo;
  return {
    package: name,
    version: installedVersion(name),
    author: info.author.name,
    licence: info.license.spdx,
    url: info.author.url,
  };
}
