import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** This package, and its repository, where it lies in it. */
const PLACES = ["../..", "../../../.."].map((path) => fileURLToPath(new URL(path, import.meta.url)));

/**
 * A folder that comes with the program: in its package, or in its repository.
 *
 * @param file what it must have, to be more than the rest of something
 */
export function shipped(folder: string, file = "."): string | undefined {
  return PLACES.map((place) => join(place, folder)).find((path) => existsSync(join(path, file)));
}
