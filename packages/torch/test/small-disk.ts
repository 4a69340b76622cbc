import { type SpawnSyncReturns, spawnSync } from "node:child_process";

/** Mounts a file system of 1 MiB at `folder`; fails where the process may not. */
export function mountSmallDisk(folder: string): SpawnSyncReturns<string> {
  return spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], { encoding: "utf8" });
}

export function unmount(folder: string): void {
  spawnSync("umount", [folder]);
}
