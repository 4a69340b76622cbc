import { readFileSync } from "node:fs";
import { join } from "node:path";
import { colorEdges } from "@iqvae/runtime";
import { halve, rasterize } from "../../../media/svg.ts";
import type { ImageSize } from "../../dataset.ts";
import { installedVersion, type License, packageFolder } from "../../licenses.ts";
import type { Recipe } from "../../recipe.ts";
import { EMOJI_VENDORS, type EmojiIcon, type EmojiVendor, emojiIcons, emojiSvg, isConceptHeldOut } from "./concepts.ts";

/** Raise it whenever the pixels, the choice or the order of the pairs change. */
const VERSION = 2;

/** How the `emoji` pairs are drawn. They are as many as the packages hold; nothing about them is random. */
export function emojiRecipe(size: ImageSize): Recipe {
  const licenses = emojiLicenses();
  const versions = versionsOf(licenses);
  return {
    name: "emoji",
    condition: { kind: "edges" },
    parts: { version: VERSION, ...versions, sharp: installedVersion("sharp"), condition: "edges", size },
    facts: { group: conceptOfPair, edgesOfImage: true },
    licenses,
    prepare() {
      const icons = emojiIcons();
      const entries = icons.map(({ vendor, name, concept }) => ({
        id: `${concept}/${vendor}/${name}`,
        validation: isConceptHeldOut(concept),
      }));
      const draw = async (index: number) => {
        const image = await drawEmoji(icons[index]!, size);
        return { image, condition: colorEdges(image, size) };
      };
      return { entries, draw };
    },
  };
}

/** The concept in an id such as `lemon/noto/lemon`: all of its drawings share their shape, more or less. */
export function conceptOfPair(id: string): string {
  return id.split("/", 1)[0]!;
}

/** A drawing on white: RGB bytes `[size, size, 3]`. */
export async function drawEmoji(icon: EmojiIcon, size: number): Promise<Uint8Array> {
  return halve(await rasterize(emojiSvg(icon, size * 2)), size);
}

/** Whose drawings the emoji are. */
export function emojiLicenses(): readonly License[] {
  return EMOJI_VENDORS.map(licenseOf);
}

/** Package by package, for the content key of a cache. */
export function versionsOf(licenses: readonly License[]): Readonly<Record<string, string>> {
  return Object.fromEntries(licenses.map((license) => [license.package, license.version]));
}

interface IconifyInfo {
  readonly author: { readonly name: string; readonly url: string };
  readonly license: { readonly spdx: string };
}

function licenseOf(vendor: EmojiVendor): License {
  const name = `@iconify-json/${vendor}`;
  const info = JSON.parse(readFileSync(join(packageFolder(name), "info.json"), "utf8")) as IconifyInfo;
  return {
    package: name,
    version: installedVersion(name),
    author: info.author.name,
    license: info.license.spdx,
    url: info.author.url,
  };
}
