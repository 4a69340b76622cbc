import { join, resolve, sep } from "node:path";
import { conditionFor } from "../../conditions/index.ts";
import { IMAGE_LIBRARIES } from "../../media/raster.ts";
import { amount } from "../../support/amount.ts";
import type { PairEntry } from "../cache.ts";
import { installedVersion } from "../licenses.ts";
import type { OnProgress, Pair, Prepared, Recipe } from "../recipe.ts";
import { describeProblems, type ImportReport, Problems, problemKind } from "./problems.ts";
import { contentsOf } from "./readers/contents.ts";
import { FileTree } from "./readers/file-tree.ts";
import type { ImportRequest } from "./requests.ts";
import type { Source } from "./source.ts";
import { sourceOf } from "./sources.ts";

/** Raise it whenever what is made of the same files changes. */
const VERSION = 5;

/**
 * How the pairs of a folder of the user's are read. A pair that cannot be used is named and counted, and the rest goes on.
 *
 * @param kept a folder for what is to be known the next time
 * @param onProgress told of files while they are looked at, and may throw to end it
 * @throws Error when the folder does not have the layout
 */
export async function importRecipe(request: ImportRequest, kept: string, onProgress: OnProgress): Promise<Recipe> {
  const { path, size, ...choices } = request;
  const tree = new FileTree(path);
  const source = sourceOf(request, tree);
  return {
    name: request.name,
    condition: source.condition,
    ...(source.facts === undefined ? {} : { facts: source.facts }),
    licenses: [],
    // Not the folder's place: the same files are the same data wherever they lie.
    parts: {
      version: VERSION,
      decoders: decoders(),
      size,
      choices: JSON.stringify(choices),
      files: await contentsOf(tree, source.files, kept, (done, total) => onProgress(done, total, "checking")),
    },
    prepare: () => prepare(request, source, tree, onProgress),
  };
}

/** Whatever turns files into pixels and lists: another version may do so in another way. */
function decoders(): string {
  return JSON.stringify({ json: installedVersion("@streamparser/json"), ...IMAGE_LIBRARIES });
}

async function prepare(
  { name, path, size }: ImportRequest,
  source: Source,
  tree: FileTree,
  onProgress: OnProgress,
): Promise<Prepared> {
  const problems = new Problems();
  // The report is kept with the pairs, and both may be of a folder that lies elsewhere by then.
  const relative = (reason: string) => reason.replaceAll(join(path, sep), "").replaceAll(join(resolve(path), sep), "");
  for (const { name, reason } of tree.leftOut) problems.add("unreadable file", name, relative(reason));
  const { entries, read } = await source.match(problems, (done, total) => onProgress(done, total, "listing"));
  const { check } = conditionFor(source.condition, size);
  const draw = async (index: number): Promise<Pair | null> => {
    try {
      const pair = await read(index);
      check(pair.condition);
      return pair;
    } catch (error) {
      problems.add(problemKind(error), entries[index]!.id, relative((error as Error).message));
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
  const count = (pairs: number) => `there ${pairs === 1 ? "is" : "are"} ${amount(pairs, "pair")}`;
  const what =
    train + validation === 0
      ? "no pair can be used"
      : train === 0
        ? `${count(validation)} held out, but none to train on`
        : `${count(train)} to train on, but none held out`;
  const missing = train + validation === 0 ? "No file of that layout was found." : "Add pairs: both parts need one.";
  const why = describeProblems(problems);
  throw new Error(
    [`${data} from ${path}: ${what}. ${why.length === 0 ? missing : "What is wrong:"}`, ...why].join("\n"),
  );
}
