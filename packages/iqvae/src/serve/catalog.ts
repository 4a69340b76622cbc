import { existsSync, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Bundle, SamplingDefaults } from "@iqvae/runtime";
import { didYouMean } from "@iqvae/torch";
import { type Condition, conditionFor } from "../conditions/index.ts";
import type { ConditionSpec } from "../conditions/spec.ts";
import { conditionSpec } from "../data/index.ts";
import { bundleOf, isExported } from "../run/exported.ts";
import { nameOf, openRun } from "../run/run-folder.ts";
import type { ModelPlace } from "./drawer/protocol.ts";

/** A model that is served. */
export interface ServedModel extends ModelPlace {
  readonly spec: ConditionSpec;
  readonly condition: Condition;
  readonly size: number;
  readonly sampling: SamplingDefaults;
  readonly guidable: boolean;
  /** Bytes of conditions that come with it. */
  readonly examples: readonly Uint8Array[];
  /** What its folder holds for browsers; a run has nothing for them. */
  readonly bundle?: Bundle;
}

/**
 * Models by their names.
 *
 * @param paths folders that `iqvae export` wrote, folders of such folders, runs, or names in `runs/`
 * @throws Error for a path that holds no model, for two models of one name, and for a damaged one; ConfigError for a damaged run
 */
export function openModels(paths: readonly string[]): Map<string, ServedModel> {
  const models = new Map<string, ServedModel>();
  for (const path of paths) {
    for (const model of modelsAt(path)) {
      const other = models.get(model.name);
      if (other !== undefined)
        throw new Error(
          `${other.folder} and ${model.folder} are both named ${model.name}. Serve one of them, or rename a run and export it again.`,
        );
      models.set(model.name, model);
    }
  }
  return models;
}

function modelsAt(path: string): ServedModel[] {
  if (isExported(path)) return [exported(path)];
  if (statSync(path, { throwIfNoEntry: false })?.isFile())
    throw new Error(
      `${path} is a file: name a run folder, one that iqvae export wrote, or one that has several of those.`,
    );
  const below = existsSync(path) && !existsSync(join(path, "config.json")) ? foldersIn(path).filter(isExported) : [];
  return below.length > 0 ? below.map(exported) : [run(path)];
}

function foldersIn(path: string): string[] {
  const entries = readdirSync(path, { withFileTypes: true }).filter((entry) => !entry.isFile());
  return entries.map(({ name }) => join(path, name)).sort();
}

function exported(folder: string): ServedModel {
  const bundle = bundleOf(folder);
  const { name, condition: spec, size, sampling, transformer, examples = [] } = bundle;
  return {
    name,
    folder: resolve(folder),
    kind: "exported",
    spec,
    condition: conditionFor(spec, size),
    size,
    sampling,
    guidable: transformer.unconditional,
    examples: examples.map((each) => Buffer.from(each, "base64")),
    bundle,
  };
}

function run(path: string): ServedModel {
  const found = openRun(path);
  const { path: folder, config } = found;
  const spec = conditionSpec(config.data);
  const { size } = config.data;
  return {
    name: nameOf(found),
    folder: resolve(folder),
    kind: "run",
    spec,
    condition: conditionFor(spec, size),
    size,
    sampling: config.sampling,
    guidable: config.stage2.conditionDropout > 0,
    examples: [],
  };
}

/** @throws RangeError when no name is given and there are several, and for a name that there is not */
export function modelNamed(models: ReadonlyMap<string, ServedModel>, name: string | undefined): ServedModel {
  const names = [...models.keys()];
  const found = name === undefined && models.size === 1 ? models.get(names[0]!) : models.get(name ?? "");
  if (found !== undefined) return found;
  throw new RangeError(
    name === undefined
      ? `there are several models, so one has to be named: ${names.join(", ")}`
      : `there is no model '${name}'; ${didYouMean(name, names)}`,
  );
}
