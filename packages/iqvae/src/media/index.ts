export { contactSheet, drawCondition, type SheetRow, sheetSize } from "./contact-sheet.ts";
export { colorEdges, crestEdges } from "./edges.ts";
export { FileProblem, type FileProblemKind } from "./file-problem.ts";
export { logMel } from "./log-mel.ts";
export { type PartialImage, readMask, readPartialImage } from "./partial-image.ts";
export { readImage, readLabelMap, readLines } from "./read-image.ts";
export { readWav, type Waveform } from "./wav.ts";
