import { choose } from "../../../support/random.ts";
import type { PairFacts } from "../../facts.ts";
import { conceptOfPair } from "../emoji/recipe.ts";
import { drawingsOf } from "./drawings.ts";

/** Of `words` and `speech`: whoever names a concept, in letters or aloud, does not say whose drawing is wanted. */
export const NAMED_FACTS: PairFacts = {
  group: conceptOfPair,
  concept: conceptOfPair,
  async trueImages(id, count, size, random) {
    const drawings = await drawingsOf(id, size);
    const images = Array.from({ length: count }, () => choose(drawings, random));
    return new Uint8Array(Buffer.concat(images));
  },
  open: {
    what: "vendors",
    of: async (id, size) => [{ name: "vendor", modes: { kind: "pictures", pictures: await drawingsOf(id, size) } }],
  },
};
