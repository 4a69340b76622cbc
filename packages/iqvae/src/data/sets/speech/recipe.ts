import { logMel } from "@iqvae/runtime";
import type { AudioSpec } from "../../../conditions/spec.ts";
import { seededRandom } from "../../../support/random.ts";
import { installedVersion, type License } from "../../licenses.ts";
import { onceEach } from "../../once.ts";
import { type Recipe, spread } from "../../recipe.ts";
import { annotationLicense } from "../emoji/annotations.ts";
import type { EmojiIcon } from "../emoji/concepts.ts";
import { drawEmoji, emojiLicenses, versionsOf } from "../emoji/recipe.ts";
import { spokenConcepts } from "../words/captions.ts";
import { NAMED_FACTS } from "../words/facts.ts";
import type { WordsRequest } from "../words/recipe.ts";
import { FLITE_PACKAGE, speak } from "./flite.ts";
import { recorded } from "./recording.ts";
import { textOf, type Utterance, utterancesOf } from "./utterances.ts";

/** Raise it whenever the pixels, the sounds or the order of the pairs change. */
const VERSION = 8;

/**
 * What speech is conditioned on: a word, however long it takes. At its own speed, the nearest utterance that is known was of the
 * same concept for 31 % of the held-out utterances; spread over all frames, for 98 %.
 */
export const SPEECH: AudioSpec = { kind: "audio", bands: 32, frames: 64, stretch: true };

/** Utterances that are kept, for the other drawings of their concept: twice as many as a concept has. */
const REMEMBERED = 72;

/**
 * How the `speech` pairs are made: every drawing of a concept with each of its utterances, each pair with a recording of its own.
 * Clean speech alone taught words that no microphone ever hears.
 */
export function speechRecipe({ size, count }: WordsRequest): Recipe {
  const licenses = [...emojiLicenses(), annotationLicense(), fliteLicense()];
  return {
    name: "speech",
    condition: SPEECH,
    parts: { version: VERSION, ...versionsOf(licenses), sharp: installedVersion("sharp"), size, count },
    facts: NAMED_FACTS,
    licenses,
    prepare() {
      const all = spokenConcepts().flatMap(({ name, icons }, first) => {
        const utterances = utterancesOf(name);
        // Each concept begins with another, so that every choice of pairs has both kinds.
        return icons.flatMap((icon) => turned(utterances, first).map((utterance) => ({ icon, utterance })));
      });
      const pairs = spread(all, count);
      const entries = pairs.map(({ icon, utterance }) => ({
        id: `${icon.concept}/${icon.vendor}/${utterance.voice}-${utterance.number}`,
        validation: utterance.validation,
      }));
      const said = onceEach(
        (utterance: Utterance) => speak(textOf(utterance), utterance.voice, utterance.stretch, utterance.melody),
        ({ name, number }) => `${name}/${number}`,
        REMEMBERED,
      );
      const drawn = onceEach(
        (icon: EmojiIcon) => drawEmoji(icon, size),
        ({ concept, vendor }) => `${concept}/${vendor}`,
      );
      const draw = async (index: number) => {
        const { icon, utterance } = pairs[index]!;
        const [image, speech] = await Promise.all([drawn(icon), said(utterance)]);
        const random = seededRandom("recording", utterance.name, utterance.number, icon.vendor);
        return { image, condition: logMel(recorded(speech, random), SPEECH) };
      };
      return { entries, draw };
    },
  };
}

/** The list from its entry number `first` on, around its end. */
function turned<T>(list: readonly T[], first: number): readonly T[] {
  return list.map((_, i) => list[(first + i) % list.length]!);
}

function fliteLicense(): License {
  return {
    package: FLITE_PACKAGE,
    version: installedVersion(FLITE_PACKAGE),
    author: "Carnegie Mellon University",
    license: "BSD-4-Clause",
    url: "https://github.com/festvox/flite",
  };
}
