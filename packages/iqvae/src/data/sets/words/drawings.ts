import type { ImageSize } from "../../dataset.ts";
import type { EmojiIcon } from "../emoji/concepts.ts";
import { drawEmoji } from "../emoji/recipe.ts";
import { spokenConcepts } from "./captions.ts";

let iconsByConcept: ReadonlyMap<string, readonly EmojiIcon[]> | undefined;

/**
 * All drawings of a pair's concept, one a vendor, in the order of `EMOJI_VENDORS`: what its condition leaves open, each equally likely.
 *
 * @param id of a pair of `words` or `speech`, such as `lemon/noto/lemon fruit`
 * @returns RGB bytes `[size, size, 3]` each
 * @throws RangeError for an id that is none
 */
export async function drawingsOf(id: string, size: ImageSize): Promise<readonly Uint8Array[]> {
  iconsByConcept ??= new Map(
    spokenConcepts().flatMap(({ icons }) => icons.map(({ concept }) => [concept, icons] as const)),
  );
  const icons = iconsByConcept.get(id.split("/")[0]!);
  if (icons === undefined) {
    throw new RangeError(
      `drawingsOf("${id}"): expected an id of the data sets words or speech, such as "lemon/noto/lemon".`,
    );
  }
  return await Promise.all(icons.map((icon) => drawEmoji(icon, size)));
}
