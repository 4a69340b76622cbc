import { WriteError } from "@iqvae/torch";
import { PackageError } from "../support/packages.ts";
import type { Recipe } from "./recipe.ts";

/**
 * A recipe whose errors name the folders of the packages that it reads. Packages are compared with their hash when they are fetched
 * and not again, so that one which was damaged since is found by whatever reads it, in words of its own.
 */
export function namingFolders(folders: readonly string[], recipe: Recipe): Recipe {
  const { facts } = recipe;
  const { trueImages, open } = facts ?? {};
  // An id that is none is the caller's mistake.
  const ofId = <T>(read: () => Promise<T>) => reading(folders, read, RangeError);
  return {
    ...recipe,
    ...(facts !== undefined && {
      facts: {
        ...facts,
        ...(trueImages !== undefined && { trueImages: (...given) => ofId(() => trueImages(...given)) }),
        ...(open !== undefined && { open: { ...open, of: (...given) => ofId(() => open.of(...given)) } }),
      },
    }),
    async prepare() {
      const prepared = await reading(folders, () => recipe.prepare());
      return { ...prepared, draw: (index) => reading(folders, () => prepared.draw(index)) };
    },
  };
}

/** What `read` gives. @throws PackageError that names the folders, for any error but those that say themselves what to do */
export async function reading<T>(
  folders: readonly string[],
  read: () => T | Promise<T>,
  ...told: (new () => Error)[]
): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if ([PackageError, WriteError, ...told].some((kind) => error instanceof kind)) throw error;
    const reason = (error as Error).message.trim().replace(/\.$/, "");
    const [what, them] = folders.length === 1 ? ["The package in", "that folder"] : ["A package in", "these folders"];
    throw new PackageError(
      `${what} ${folders.join(" or ")} cannot be read (${reason}): delete ${them}, and it is fetched anew.`,
      { cause: error },
    );
  }
}
