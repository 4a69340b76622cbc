import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";
import { type Package, packageFolderOf } from "../../../src/support/packages.ts";

/** An empty cache folder that is gone after the test. */
export function temporaryCache(): string {
  const cache = mkdtempSync(join(tmpdir(), "iqvae-photographs-"));
  onTestFinished(() => rmSync(cache, { recursive: true }));
  return cache;
}

/** Puts files in the place of an unpacked package, as if it had been fetched. */
export function unpackInto(cache: string, wanted: Package, files: Readonly<Record<string, Uint8Array | string>>): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(packageFolderOf(wanted, cache), name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
}
