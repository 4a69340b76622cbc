import {
  type Config,
  type ConfigInput,
  PRESET_NAMES,
  type PresetName,
  parseConfig,
  presets,
  withSettings,
} from "../config/index.ts";
import { flat } from "../run/basis.ts";

/** With more values of its own than this, a configuration is shorter told as a file. */
const MOST_SETTINGS = 6;

/**
 * What to type to train a configuration: the nearest preset and the values that differ from it. Where files of the user's lie is left to whoever types it,
 * and the precision to their machine where the preset leaves it to that: the command is the same wherever it is written.
 *
 * @returns undefined where that would not be the very configuration, or long
 */
export function trainingCommand(config: Config): string | undefined {
  const wanted = flat(config);
  const choices = PRESET_NAMES.map((preset) => {
    const base = flat(parseConfig(presetFor(config, preset), preset));
    const differs = (name: string) => JSON.stringify(wanted[name]) !== JSON.stringify(base[name]);
    return { preset, settings: Object.keys(wanted).filter((name) => name !== "name" && differs(name)) };
  });
  const { preset, settings } = choices.reduce((a, b) => (b.settings.length < a.settings.length ? b : a));
  if (settings.length > MOST_SETTINGS) return undefined;
  const values = settings.map((name) => `${name}=${JSON.stringify(wanted[name])}`);
  if (!reproduces(config, preset, values)) return undefined;
  const name = config.name === presets[preset].name ? [] : [`--name ${config.name}`];
  const shown = values.map((value, i) => (settings[i]!.endsWith(".path") ? `${settings[i]}=PATH` : value));
  const quoted = shown.map((value) => `--set ${/^[\w.=-]+$/.test(value) ? value : `'${value}'`}`);
  return ["npx iqvae train", preset, ...quoted, ...name].join(" ");
}

/** What to type to train a configuration that lies in `config.json` without its paths, which are left to whoever types it. */
export function fileCommand(config: Config): string {
  const paths = Object.keys(flat(config)).filter((name) => name.endsWith(".path"));
  return ["npx iqvae train config.json", ...paths.map((name) => `--set ${name}=PATH`)].join(" ");
}

/** A preset as it is on a machine that chose the precision of a configuration. */
function presetFor({ precision }: Config, preset: PresetName): ConfigInput {
  const given: ConfigInput = presets[preset];
  return given.precision === "auto" ? { ...given, precision } : given;
}

function reproduces(config: Config, preset: PresetName, values: readonly string[]): boolean {
  try {
    const settings = [...values, `name=${JSON.stringify(config.name)}`];
    const loaded = flat(withSettings(presetFor(config, preset), settings, preset));
    const sorted = (all: object) => JSON.stringify(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
    return sorted(loaded) === sorted(flat(config));
  } catch {
    return false;
  }
}
