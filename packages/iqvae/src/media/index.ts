export { FileProblem, type FileProblemKind } from "@iqvae/runtime";
export { contactSheet, drawCondition, type SheetRow, sheetSize } from "./contact-sheet.ts";
export { type PartialImage, readMask, readPartialImage } from "./partial-image.ts";
export { pngOf } from "./png.ts";
export { readImage, readLabelMap, readLines } from "./read-image.ts";
