import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** Where cache files lie when nothing else is said: `IQVAE_CACHE`, else `.cache/iqvae` below the workspace root. */
export function cacheFolder(): string {
  return process.env.IQVAE_CACHE ?? join(workspaceRoot(), ".cache", "iqvae");
}

/** The nearest folder upwards whose package.json has workspaces, so that all commands share one cache. */
function workspaceRoot(): string {
  for (let folder = process.cwd(); ; folder = dirname(folder)) {
    const manifest = join(folder, "package.json");
    if (existsSync(manifest) && "workspaces" in (JSON.parse(readFileSync(manifest, "utf8")) as object)) return folder;
    if (dirname(folder) === folder) return process.cwd();
  }
}
