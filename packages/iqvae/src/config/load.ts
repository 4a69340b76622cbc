import { existsSync } from "node:fs";
import { didYouMean } from "@iqvae/torch";
import { impossibleCombinations } from "./combinations.ts";
import { ConfigError } from "./error.ts";
import { readConfigFile } from "./file.ts";
import { BRING_YOUR_OWN } from "./paper.ts";
import { isPreset, PRESET_NAMES, presets } from "./presets.ts";
import { problemsOf, VARIANTS } from "./problems.ts";
import { type Config, configSchema } from "./schema.ts";

/**
 * The configuration that a user asked for.
 *
 * @param source a preset's name, or a JSON file: either all values, or `{ "preset": NAME, … }` with those that differ; see
 *   {@link readConfigFile}
 * @param settings further values as `stage1.steps=200`; the value is JSON, or text where it is none
 * @throws ConfigError naming all that is wrong
 */
export function loadConfig(source: string, settings: readonly string[] = []): Config {
  return withSettings(isPreset(source) ? presets[source] : configIn(source), settings, source);
}

/**
 * A configuration with other values.
 *
 * @param settings as for {@link loadConfig}
 * @param source what to call `base` in messages
 * @throws ConfigError naming all that is wrong
 */
export function withSettings(base: unknown, settings: readonly string[], source: string): Config {
  // Together first, so that it does not matter whether a variant is chosen before or after its values are given.
  const input = merge(base, settings.map(parseSetting).reduce(merge, {}));
  return parseConfig(input, settings.length > 0 ? `${source} with ${settings.join(", ")}` : source);
}

/**
 * Checks a configuration and fills in defaults.
 *
 * @param source what to call it in messages
 */
export function parseConfig(input: unknown, source: string): Config {
  const parsed = configSchema.safeParse(input);
  const problems = parsed.success ? impossibleCombinations(parsed.data) : problemsOf(parsed.error, input, configSchema);
  if (parsed.success && problems.length === 0) return parsed.data;
  throw new ConfigError(`The configuration ${source} cannot be used:\n${problems.map((p) => `  ${p}`).join("\n")}`);
}

/** @throws ConfigError when the configuration leaves a file or folder to the user; planning goes without it, training does not */
export function checkOwnPaths(config: Config): void {
  const missing = [...strings(config)].filter(([, value]) => value === BRING_YOUR_OWN).map(([path]) => path);
  if (missing.length === 0) return;
  const settings = missing.map((path) => `--set ${path}=PATH`).join(" ");
  throw new ConfigError(
    `${config.name} is trained on files that you bring (docs/data.md, docs/metrics.md), so name them: ${settings}`,
  );
}

/** All texts within a value, with their paths. */
function* strings(value: unknown, path: readonly string[] = []): Generator<[path: string, value: string]> {
  if (typeof value === "string") yield [path.join("."), value];
  else if (typeof value === "object" && value !== null)
    for (const [key, inner] of Object.entries(value)) yield* strings(inner, [...path, key]);
}

function configIn(path: string): unknown {
  if (!existsSync(path)) {
    const hint = didYouMean(path, PRESET_NAMES);
    throw new ConfigError(`'${path}' is neither a preset nor a file; ${hint}`);
  }
  const document = readConfigFile(path);
  if (!isObject(document)) throw new ConfigError(`${path} must hold an object { … }`);
  if (!("preset" in document)) return document;
  const { preset, ...rest } = document;
  if (typeof preset === "string" && isPreset(preset)) return merge(presets[preset], rest);
  throw new ConfigError(`${path}: there is no preset '${preset}'; ${didYouMean(String(preset), PRESET_NAMES)}`);
}

function parseSetting(setting: string): unknown {
  const [, path, text] = /^([\w.]+)=(.*)$/s.exec(setting) ?? [];
  if (path === undefined || text === undefined) {
    throw new ConfigError(`--set ${setting}: expected KEY=VALUE, for example --set stage1.steps=200`);
  }
  return path.split(".").reduceRight<unknown>((value, key) => ({ [key]: value }), parseValue(text));
}

function parseValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/**
 * `over` on top of `base`, object by object. Where `over` chooses another variant (another estimator, say), nothing of the
 * old one is kept: its keys would not fit.
 */
function merge(base: unknown, over: unknown): unknown {
  if (!isObject(base) || !isObject(over)) return over;
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const chooser = VARIANTS[key];
    const old = base[key];
    const changes = chooser !== undefined && isObject(value) && isObject(old) && choosesAnother(chooser, value, old);
    merged[key] = changes ? value : merge(old, value);
  }
  return merged;
}

function choosesAnother(chooser: string, value: object, old: object): boolean {
  const [chosen, before] = [value, old].map((each) => Reflect.get(each, chooser));
  return chosen !== undefined && before !== undefined && chosen !== before;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
