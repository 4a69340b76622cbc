import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Module, readSafetensors, scope } from "@iqvae/torch";
import { z } from "zod";

/** The networks that come with the program: `NAME.safetensors`, and `NAME.json` beside it. */
export const SHIPPED = fileURLToPath(new URL("../../networks/", import.meta.url));

/** All that decides a network's weights, but for the processor and libtorch that computed them. */
export type NetworkRecipe = Readonly<Record<string, string | number>>;

const aboutSchema = z.object({
  /** Of the weights' file, hexadecimal. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  recipe: z.record(z.string(), z.union([z.string(), z.number()])),
  /** What the weights were computed with. */
  trainedWith: z.record(z.string(), z.string()),
  /** What it reached on held-out pairs. */
  figures: z.record(z.string(), z.number()),
});

/** What is written beside the weights of a network that comes with the program. */
export type ShippedNetwork = z.output<typeof aboutSchema>;

/**
 * Opens a network that comes with the program, so that figures of several machines are of one judge.
 *
 * @param folder where `NAME.safetensors` and `NAME.json` lie
 * @param network takes the weights
 * @param tell is told why a network that is there cannot be used
 * @returns `undefined` when there is none, it is damaged, or this version would train another one
 */
export function openShipped(
  folder: string,
  name: string,
  recipe: NetworkRecipe,
  network: Module,
  tell: (problem: string) => void,
): { figures: Readonly<Record<string, number>>; digest: string } | undefined {
  const [description, weights] = [join(folder, `${name}.json`), join(folder, `${name}.safetensors`)];
  if (!existsSync(description) || !existsSync(weights)) return undefined;
  const { sha256, recipe: its, figures } = aboutSchema.parse(JSON.parse(readFileSync(description, "utf8")));
  if (sorted(its) !== sorted(recipe)) {
    tell(`${weights} was trained by another recipe than that of this version.`);
    return undefined;
  }
  const digest = sha256Of(weights);
  if (digest !== sha256) {
    tell(`${weights} has the SHA-256 ${digest} in place of ${sha256}: it is damaged or was replaced.`);
    return undefined;
  }
  scope(() => network.loadStateDict(readSafetensors(weights).tensors));
  return { figures, digest };
}

/** Hexadecimal SHA-256 of a file. */
export function sha256Of(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

function sorted(recipe: NetworkRecipe): string {
  return JSON.stringify(Object.entries(recipe).sort());
}
