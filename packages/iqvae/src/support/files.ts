import { mkdirSync } from "node:fs";
import { explainWriting } from "@iqvae/torch";

/** Makes a folder and those above it. @throws WriteError that says what could not be made, why, and what to do */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw explainWriting(error, path);
  }
}
