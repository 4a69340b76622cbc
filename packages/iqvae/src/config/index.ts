export { ConfigError } from "./error.ts";
export { readConfigFile, storedIn } from "./file.ts";
export { checkOwnPaths, loadConfig, parseConfig, withSettings } from "./load.ts";
export { PRESET_NAMES, type PresetName, presets } from "./presets.ts";
export type { Config, ConfigInput } from "./schema.ts";
