import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../../", import.meta.url));

/** The path of a script of this folder, which runs on the compiled package; compiles it first. */
export function compiledChild(name: string): string {
  const tsc = fileURLToPath(new URL("../../../../node_modules/typescript/bin/tsc", import.meta.url));
  execFileSync(process.execPath, [tsc, "-b", "packages/torch"], { cwd: root, stdio: "inherit" });
  return fileURLToPath(new URL(name, import.meta.url));
}
