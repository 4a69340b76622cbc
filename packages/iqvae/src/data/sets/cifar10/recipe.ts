import { colorEdges } from "@iqvae/runtime";
import { type ConditionSpec, textBytes } from "../../../conditions/index.ts";
import { choose } from "../../../support/random.ts";
import type { PairFacts } from "../../facts.ts";
import { installedVersion } from "../../licenses.ts";
import { once } from "../../once.ts";
import { editionsOf, type PackageSource, packageLicense } from "../../packages.ts";
import { type Recipe, spread } from "../../recipe.ts";
import { CAPTION } from "../words/captions.ts";
import { CIFAR10 } from "./packages.ts";
import { cifar10, type Photographs, SIDE } from "./photographs.ts";

/** Raise it whenever the pixels, the captions or the order of the pairs change. */
const VERSION = 1;

/** What the photographs show, by the numbers of classes: the captions of `text`. */
export const CIFAR10_CLASSES = [
  "airplane",
  "automobile",
  "bird",
  "cat",
  "deer",
  "dog",
  "frog",
  "horse",
  "ship",
  "truck",
] as const;

/** Photographs have no more pixels than this. */
export const CIFAR10_SIZES = [SIDE] as const;

export type Cifar10Condition = "text" | "edges";

export function cifar10Spec(condition: Cifar10Condition): ConditionSpec {
  return condition === "text" ? CAPTION : { kind: condition };
}

export interface Cifar10Request {
  readonly condition: Cifar10Condition;
  /** The most pairs, spread over all that there are. */
  readonly count: number;
}

/** How the `cifar10` pairs are made, with the split of CIFAR-10 itself. Nothing about them is random. */
export function cifar10Recipe({ condition, count }: Cifar10Request, source: PackageSource): Recipe {
  const both = once(() => cifar10(source));
  return {
    name: "cifar10",
    condition: cifar10Spec(condition),
    facts: condition === "text" ? classFacts(both) : { edgesOfImage: true },
    parts: { version: VERSION, ...editionsOf([CIFAR10]), sharp: installedVersion("sharp"), condition, count },
    licenses: [packageLicense(CIFAR10)],
    async prepare() {
      const { train, test } = await both();
      const all = [
        ...train.labels.map((label, index) => ({ label, index, part: "train" as const })),
        ...test.labels.map((label, index) => ({ label, index, part: "test" as const })),
      ];
      const pairs = spread(all, count);
      const entries = pairs.map(({ label, index, part }) => ({
        id: `${part}/${CIFAR10_CLASSES[label]}/${index}`,
        validation: part === "test",
      }));
      const draw = async (number: number) => {
        const { label, index, part } = pairs[number]!;
        const image = (part === "train" ? train : test).image(index);
        return {
          image,
          condition: condition === "text" ? textBytes(CIFAR10_CLASSES[label]!, CAPTION) : colorEdges(image, SIDE),
        };
      };
      return { entries, draw };
    },
  };
}

/** Any photograph of a class is a true image of its name. True images are of the half that the pair itself is of. */
function classFacts(both: () => Promise<{ train: Photographs; test: Photographs }>): PairFacts {
  return {
    concept: (id) => classOf(id).name,
    async trueImages(id, count, _, random) {
      const { part, name } = classOf(id);
      const { labels, image } = (await both())[part];
      const label = (CIFAR10_CLASSES as readonly string[]).indexOf(name);
      const numbers = labels.flatMap((each, index) => (each === label ? [index] : []));
      return new Uint8Array(Buffer.concat(Array.from({ length: count }, () => image(choose(numbers, random)))));
    },
  };
}

function classOf(id: string): { part: "train" | "test"; name: string } {
  const [, part, name] = /^(train|test)\/(\w+)\/\d+$/.exec(id) ?? [];
  if (name !== undefined) return { part: part as "train" | "test", name };
  throw new RangeError(`expected an id of a photograph, such as "train/ship/17", got ${JSON.stringify(id)}.`);
}
