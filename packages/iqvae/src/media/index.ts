export { contactSheet, drawCondition, type SheetRow } from "./contact-sheet.ts";
export { colorEdges } from "./edges.ts";
export { logMel } from "./log-mel.ts";
export { readImage, readLabelMap, readLines } from "./read-image.ts";
export { readWav, type Waveform } from "./wav.ts";
