import { createHash } from "node:crypto";
import { logMel } from "@iqvae/runtime";
import type { AudioSpec } from "../../../conditions/spec.ts";
import { installedVersion, type License } from "../../licenses.ts";
import { onceEach } from "../../once.ts";
import { type Recipe, spread } from "../../recipe.ts";
import { annotationLicense } from "../emoji/annotations.ts";
import type { EmojiIcon } from "../emoji/concepts.ts";
import { drawEmoji, emojiLicenses, versionsOf } from "../emoji/recipe.ts";
import { spokenConcepts } from "../words/captions.ts";
import { NAMED_FACTS } from "../words/facts.ts";
import type { WordsRequest } from "../words/recipe.ts";
import { FLITE_PACKAGE, speak, VOICES, type Voice } from "./flite.ts";

/** Raise it whenever the pixels, the sounds or the order of the pairs change. */
const VERSION = 7;

/**
 * What speech is conditioned on: a word, however long it takes. At its own speed, the nearest utterance that is known was of the
 * same concept for 31 % of the held-out utterances; spread over all frames, for 98 %.
 */
export const SPEECH: AudioSpec = { kind: "audio", bands: 32, frames: 64, stretch: true };

/** Lengths of sounds: faster than the voice's own, its own, slower. */
const STRETCHES = [0.85, 1, 1.2] as const;
/**
 * All frequencies times this, as of a larger, an equal and a smaller speaker (speed perturbation, Ko et al. 2015: a tape that runs
 * slower or faster; what that does to the length is undone by {@link SPEECH}). Without it, ten utterances of a word in training
 * were learned by heart.
 */
const PITCHES = [0.9, 1, 1.1] as const;
/** Utterances of a concept that are held out, with all drawings: a sixth. */
const HELD_OUT_UTTERANCES = 6;

interface Utterance {
  readonly name: string;
  readonly voice: Voice;
  readonly stretch: number;
  readonly pitch: number;
}

/**
 * How the `speech` pairs are made: every drawing of a concept with its name as each of several voices speaks it, at each of
 * several speeds and pitches.
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
      const all = spokenConcepts().flatMap(({ name, icons }, number) => {
        const utterances = utterancesOf(name).map((utterance, i) => ({
          utterance,
          validation: i < HELD_OUT_UTTERANCES,
        }));
        // Each concept begins with another, so that every choice of pairs has both kinds.
        return icons.flatMap((icon) => turned(utterances, number).map((each) => ({ icon, ...each })));
      });
      const pairs = spread(all, count);
      const entries = pairs.map(({ icon, utterance: { voice, stretch, pitch }, validation }) => ({
        id: `${icon.concept}/${icon.vendor}/${voice}-${stretch}-${pitch}`,
        validation,
      }));
      const said = onceEach(
        ({ name, voice, stretch }: Utterance) => speak(name, voice, stretch),
        ({ name, voice, stretch }) => `${name}/${voice}/${stretch}`,
      );
      const heard = onceEach(
        async (utterance: Utterance) => {
          const { samples, rate } = await said(utterance);
          return logMel({ samples, rate: rate * utterance.pitch }, SPEECH);
        },
        ({ name, voice, stretch, pitch }) => `${name}/${voice}/${stretch}/${pitch}`,
      );
      const drawn = onceEach(
        (icon: EmojiIcon) => drawEmoji(icon, size),
        ({ concept, vendor }) => `${concept}/${vendor}`,
      );
      const draw = async (index: number) => {
        const { icon, utterance } = pairs[index]!;
        const [image, condition] = await Promise.all([drawn(icon), heard(utterance)]);
        return { image, condition };
      };
      return { entries, draw };
    },
  };
}

/** All utterances of a name, in an order that the name decides. */
function utterancesOf(name: string): readonly Utterance[] {
  const all = VOICES.flatMap((voice) =>
    STRETCHES.flatMap((stretch) => PITCHES.map((pitch) => ({ name, voice, stretch, pitch }))),
  );
  const rank = (utterance: Utterance) => createHash("sha256").update(JSON.stringify(utterance)).digest("hex");
  return all.sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
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
