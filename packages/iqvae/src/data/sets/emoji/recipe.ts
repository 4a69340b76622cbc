import { readFileSync } from "node:fs";
import { join } from "node:path";
import { colourEdges } from "../../../media/edges.ts";
import { halve, rasterise } from "../../../media/svg.ts";
import type { ImageSize } from "../../dataset.ts";
import { installedVersion, type Licence, packageFolder } from "../../licenses.ts";
import type { Recipe } from "../../recipe.ts";
import { EMOJI_VENDORS, type EmojiIcon, type EmojiVendor, emojiIcons, emojiSvg, isConceptHeldOut } from "./concepts.ts";

/** Raise it whenever the pixels, the choice or the order of the pairs change. */
const VERSION = 2;

/** How the `emoji` pairs are drawn. They are as many as the packages hold; nothing about them is random. */
export function emojiRecipe(size: ImageSize): Recipe {
  const licences = emojiLicences();
  const versions = versionsOf(licences);
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
        const image = await drawEmoji(icons[index]!, size);
        return { image, condition: colourEdges(image, size) };
      };
      return { entries, draw };
    },
  };
}

/** A drawing on white: RGB bytes `[size, size, 3]`. */
export async function drawEmoji(icon: EmojiIcon, size: number): Promise<Uint8Array> {
  return halve(await rasterise(emojiSvg(icon, size * 2)), size);
}

/** Whose drawings the emoji are. */
export function emojiLicences(): readonly Licence[] {
  return EMOJI_VENDORS.map(licenceOf);
}

/** Package by package, for the content key of a cache. */
export function versionsOf(licences: readonly Licence[]): Readonly<Record<string, string>> {
  return Object.fromEntries(licences.map((licence) => [licence.package, licence.version]));
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
