export { conditionSpec } from "./condition-spec.ts";
export { ConfigError, loadConfig, parseConfig, withSettings } from "./load.ts";
export { didYouMean, nearest } from "./nearest.ts";
export { PRESET_NAMES, type PresetName, presets } from "./presets.ts";
export { type Processor, processor } from "./processor.ts";
export type { Config, ConfigInput } from "./schema.ts";
