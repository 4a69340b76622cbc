export { type SafetensorsEntry, SafetensorsError, type SafetensorsHeader } from "./header.ts";
export { type ReadOptions, readSafetensors, readSafetensorsHeader } from "./read.ts";
export { writeSafetensors } from "./write.ts";
