export { conditionSpec } from "../data/condition-spec.ts";
export { didYouMean, nearest } from "../support/nearest.ts";
export { type Processor, processor } from "../support/processor.ts";
export { ConfigError, loadConfig, parseConfig, withSettings } from "./load.ts";
export { PRESET_NAMES, type PresetName, presets } from "./presets.ts";
export type { Config, ConfigInput } from "./schema.ts";
