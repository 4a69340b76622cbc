import { permutation, type Random, seededRandom } from "../../../support/random.ts";
import { VOICES, type Voice } from "./flite.ts";

/** Utterances of a name. */
const UTTERANCES = 36;
/** Those of them that are held out, with all recordings and drawings: a sixth. */
const HELD_OUT = 6;
/** What stands before the name in the utterances of a voice: people who name a thing do not agree about it. */
const ARTICLES = ["", "a", "", "the", "", "a", "", "the", ""] as const;
/** Lengths of sounds, from a fast speaker to a slow one. */
const [FASTEST, SLOWEST] = [0.8, 1.25];
/** Means of the fundamental frequency, in hertz, from a deep voice to a child's. */
const [DEEPEST, HIGHEST] = [85, 260];

/** A name as somebody says it. */
export interface Utterance {
  readonly name: string;
  /** Its number among those of the name. */
  readonly number: number;
  readonly article: (typeof ARTICLES)[number];
  readonly voice: Voice;
  readonly stretch: number;
  readonly melody: number;
  readonly validation: boolean;
}

/** The utterances of a name, each at its own speed and melody; of every voice as many. */
export function utterancesOf(name: string): readonly Utterance[] {
  const ranks = permutation(UTTERANCES, seededRandom("held out", name));
  return Array.from(ranks, (rank, number) => {
    const random = seededRandom("utterance", name, number);
    return {
      name,
      number,
      voice: VOICES[number % VOICES.length]!,
      article: ARTICLES[Math.floor(number / VOICES.length)]!,
      stretch: Math.round(100 * between(FASTEST, SLOWEST, random)) / 100,
      melody: Math.round(between(DEEPEST, HIGHEST, random)),
      validation: rank < HELD_OUT,
    };
  });
}

/** What is said: `banana`, `an ant`, or `the ant`. */
export function textOf({ name, article }: Utterance): string {
  if (article === "") return name;
  // As it sounds, not as it is written: a ewe, a unicorn, an herb.
  return `${article === "a" && /^(herb|(?!ew|uni)[aeiou])/.test(name) ? "an" : article} ${name}`;
}

/** Evenly between the logarithms of two numbers. */
function between(low: number, high: number, random: Random): number {
  return low * (high / low) ** random();
}
