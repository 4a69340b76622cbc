import { randomBytes } from "node:crypto";
import { existsSync, linkSync, readdirSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { ASIDE, didYouMean, explainWriting, replaceFile } from "@iqvae/torch";
import { type Config, checkOwnPaths, parseConfig, readConfigFile, storedIn } from "../config/index.ts";
import { makeFolder } from "../support/files.ts";
import { isExported } from "./exported.ts";
import { LOCK } from "./lock.ts";
import { MetricsLog } from "./metrics-log.ts";
import { expectPretrained } from "./pretrained.ts";
import { type Models, restoreModels } from "./restore.ts";

/** Where the runs of a workspace lie. */
export const RUNS = "runs";

/** One training and all that came of it. */
export interface RunFolder {
  /** The folder, as the user would write it. */
  readonly path: string;
  readonly config: Config;
  readonly log: MetricsLog;
  readonly checkpoints: string;
  /** Pictures drawn on the way. */
  readonly samples: string;
  /** The data as tokens of stage 1. */
  readonly tokens: string;
  readonly report: string;
  /** Event files for TensorBoard. */
  readonly tensorboard: string;
  /** Both models with their trained weights, of stage 2 those after a step if one is named; see {@link restoreModels}. */
  loadModels(step?: number): Models;
}

/** @throws Error where {@link createRun} cannot make a run, before there is anything of it: for whoever works long before that */
export function expectCreatable(path: string, config: Config): void {
  if (existsSync(configPath(path))) throw isTaken(path);
  checkOwnPaths(config);
  if (config.pretrained !== null) expectPretrained(openRun(config.pretrained.path), config);
}

/**
 * Makes a run folder and stores its configuration.
 *
 * @throws Error when there is a run already, or when the folder cannot be written; ConfigError when it leaves paths to the user
 */
export function createRun(path: string, config: Config): RunFolder {
  expectCreatable(path, config);
  const run = runAt(path, config);
  makeFolder(run.checkpoints);
  makeFolder(run.samples);
  // Last, since it is what makes the folder a run.
  claim(path, `${JSON.stringify(storedIn(path, config), null, 2)}\n`);
  return run;
}

/** Takes away a run that has not begun, so that the next one has its name. One that learned something stays, or that is being trained. */
export function discardUnbegun({ path, checkpoints, samples, log }: RunFolder): void {
  if (existsSync(log.path) || existsSync(join(path, LOCK))) return;
  const folders = [checkpoints, samples].filter((folder) => existsSync(folder));
  if (folders.some((folder) => readdirSync(folder).length > 0)) return;
  // First, since it is what makes the folder a run.
  rmSync(configPath(path), { force: true });
  for (const folder of folders) rmdirSync(folder);
  // Files of the user's may lie there.
  if (readdirSync(path).length === 0) rmdirSync(path);
}

/** Stores the configuration whole, and only where there is none yet: another process may make a run of the same name. */
function claim(path: string, config: string): void {
  const aside = `${configPath(path)}.${randomBytes(4).toString("hex")}${ASIDE}`;
  replaceFile(aside, config);
  try {
    linkSync(aside, configPath(path));
  } catch (error) {
    if (existsSync(configPath(path))) throw isTaken(path);
    // Not every disk has links.
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes((error as NodeJS.ErrnoException).code ?? ""))
      throw explainWriting(error, configPath(path));
    renameSync(aside, configPath(path));
  } finally {
    rmSync(aside, { force: true });
  }
}

function isTaken(path: string): Error {
  return new Error(
    `There is a run in ${path} already. Go on with it: npx iqvae resume ${path}; or give the new one another --name.`,
  );
}

/**
 * Opens a run folder.
 *
 * @param path the folder, or the name of one in `runs/`
 * @throws Error when there is none, or an exported model in its place, naming the nearest; ConfigError when its configuration was damaged
 */
export function openRun(path: string): RunFolder {
  const found = [path, join(RUNS, path)].find((folder) => existsSync(configPath(folder)));
  if (found === undefined) {
    const problem = isExported(path)
      ? `${path} is an exported model, but this needs a run`
      : `There is no run in ${path}`;
    throw new Error(`${problem}; ${hint(path)}`);
  }
  return runAt(found, parseConfig(readConfigFile(configPath(found)), configPath(found)));
}

/** The run folder that another process has opened, with its configuration, for those who train it together and may not see its disk. */
export function runOf({ path, config }: Pick<RunFolder, "path" | "config">): RunFolder {
  return runAt(path, config);
}

/** What a run is called: as its folder is, since several runs may have the name of one configuration. */
export function nameOf({ path }: Pick<RunFolder, "path">): string {
  return basename(resolve(path));
}

/** A path in `runs/` for a new run: the name alone, or with the first number that is free. */
export function freeRunPath(name: string): string {
  for (let i = 1; ; i++) {
    const path = join(RUNS, i === 1 ? name : `${name}-${i}`);
    if (!existsSync(path)) return path;
  }
}

function hint(path: string): string {
  const runs = existsSync(RUNS) ? readdirSync(RUNS).filter((name) => existsSync(configPath(join(RUNS, name)))) : [];
  if (runs.length === 0) return `nothing is in ${resolve(RUNS)} yet. Make one: npx iqvae train tiny`;
  return didYouMean(
    path,
    runs.map((name) => join(RUNS, name)),
  );
}

const configPath = (path: string) => join(path, "config.json");

function runAt(path: string, config: Config): RunFolder {
  const checkpoints = join(path, "checkpoints");
  return {
    path,
    config,
    log: new MetricsLog(join(path, "metrics.jsonl")),
    checkpoints,
    samples: join(path, "samples"),
    tokens: join(path, "tokens.safetensors"),
    report: join(path, "report.html"),
    tensorboard: join(path, "tensorboard"),
    loadModels: (step) => restoreModels({ path, checkpoints, config }, step),
  };
}
