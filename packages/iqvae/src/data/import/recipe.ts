import { resolve } from "node:path";
import { conditionFor } from "../../conditions/index.ts";
import type { PairEntry } from "../cache.ts";
import { installedVersion } from "../licenses.ts";
import type { Pair, Prepared, Recipe } from "../recipe.ts";
import { describeProblems, type ImportReport, PairProblem, Problems } from "./problems.ts";
import { fingerprint } from "./readers/files.ts";
import type { ImportRequest } from "./requests.ts";
import type { Source } from "./source.ts";
import { sourceOf } from "./sources.ts";

/** Raise it whenever what is made of the same files changes. */
const VERSION = 3;

/**
 * How the pairs of a folder of the user's are read. A pair that cannot be used is named and counted, and the rest goes on.
 *
 * @throws Error when the folder does not have the layout
 */
export function importRecipe(request: ImportRequest): Recipe {
  const { path, size, ...choices } = request;
  const source = sourceOf(request);
  return {
    name: request.name,
    condition: source.condition,
    ...(source.facts === undefined ? {} : { facts: source.facts }),
    licenses: [],
    // Not the folder's place: the same files are the same data wherever they lie.
    parts: {
      version: VERSION,
      sharp: installedVersion("sharp"),
      size,
      choices: JSON.stringify(choices),
      files: fingerprint(path, source.files),
    },
    prepare: () => prepare(request, source),
  };
}

function prepare({ name, path, size }: ImportRequest, source: Source): Prepared {
  const problems = new Problems();
  const { entries, read } = source.match(problems);
  const { check } = conditionFor(source.condition, size);
  const draw = async (index: number): Promise<Pair | null> => {
    try {
      const pair = await read(index);
      check(pair.condition);
      return pair;
    } catch (error) {
      // A RangeError is what readers of conditions say of a file that means nothing.
      if (!(error instanceof PairProblem) && !(error instanceof RangeError)) throw error;
      problems.add(error instanceof PairProblem ? error.kind : "bad annotation", entries[index]!.id, error.message);
      return null;
    }
  };
  const report = (drawn: readonly PairEntry[]): ImportReport => {
    const validation = drawn.reduce((sum, entry) => sum + Number(entry.validation), 0);
    const result = {
      data: name,
      path: resolve(path),
      train: drawn.length - validation,
      validation,
      problems: problems.summary(),
    };
    expectBothParts(result);
    return result;
  };
  return { entries, draw, report };
}

/** @throws Error when there is nothing to train on, or nothing held out */
function expectBothParts({ data, path, train, validation, problems }: ImportReport): void {
  if (train > 0 && validation > 0) return;
  const what =
    train + validation === 0
      ? "no pair can be used"
      : train === 0
        ? `there are ${validation} pairs held out, but none to train on`
        : `there are ${train} pairs to train on, but none held out`;
  const why = describeProblems(problems);
  throw new Error(
    [
      `${data} from ${path}: ${what}.${why.length === 0 ? " No file of that layout was found." : " What is wrong:"}`,
      ...why,
    ].join("\n"),
  );
}
