import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** Where cache files lie when nothing else is said: `IQVAE_CACHE`, else `.cache/iqvae` below the workspace root. */
export function cacheFolder(): string {
  return process.env.IQVAE_CACHE || join(workspaceRoot(), ".cache", "iqvae");
}

/** The nearest folder upward whose package.json has workspaces, so that all commands share one cache. */
function workspaceRoot(): string {
  for (let folder = process.cwd(); ; folder = dirname(folder)) {
    if (hasWorkspaces(join(folder, "package.json"))) return folder;
    if (dirname(folder) === folder) return process.cwd();
  }
}

/** A file that is not there, cannot be read or is not valid JSON has none; what is wrong with it is not our business. */
function hasWorkspaces(manifest: string): boolean {
  try {
    const content: unknown = JSON.parse(readFileSync(manifest, "utf8"));
    return typeof content === "object" && content !== null && "workspaces" in content;
  } catch {
    return false;
  }
}
