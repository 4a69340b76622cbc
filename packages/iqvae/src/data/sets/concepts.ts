import { dirname } from "node:path/posix";
import type { PairDataset } from "../dataset.ts";

/**
 * What a pair with a text or a sound is a picture of: pairs of one concept show and say the same, each in its own way.
 *
 * `words` and `speech`: the emoji's concept; CUB-200-2011: the species; Sub-URMP: the instrument. Of other data sets nothing is
 * known but that equal conditions mean the same.
 *
 * @param id of a pair of the data set
 * @param condition its bytes
 * @returns a name, equal for pairs of one concept
 */
export function conceptOf({ name }: Pick<PairDataset, "name">, id: string, condition: Uint8Array): string {
  switch (name) {
    case "words":
    case "speech":
      return id.split("/", 1)[0]!;
    case "cub-200-2011":
    case "sub-urmp":
      return dirname(id);
    default:
      return Buffer.from(condition).toString("latin1");
  }
}
