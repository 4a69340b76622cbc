import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { compiledChild } from "./children/compiled.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
// Below the root, so that the package is found as a user's program finds it.
mkdirSync(join(root, "build"), { recursive: true });
const folder = mkdtempSync(join(root, "build", "torch-docs-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** What the comments say that `console.log` prints, behind the call or in the lines after it. */
function promised(code: string): string[] {
  const lines = code.split("\n");
  return lines.flatMap((line, i) => {
    if (!line.includes("console.log(")) return [];
    const behind = /console\.log\(.*\); \/\/ (.*)$/.exec(line)?.[1];
    if (behind !== undefined) return [behind];
    const end = lines.findIndex((other, j) => j > i && !other.startsWith("// "));
    return lines.slice(i + 1, end).map((comment) => comment.slice("// ".length));
  });
}

test("the code of docs/torch.md compiles, runs, and prints what it says", () => {
  const text = readFileSync(join(root, "docs/torch.md"), "utf8");
  const code = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, block]) => block!).join("\n");
  expect(promised(code).length).toBeGreaterThan(15);
  writeFileSync(join(folder, "docs.ts"), code);
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  compiledChild("");
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const options =
    "--ignoreConfig --strict --noUncheckedIndexedAccess --exactOptionalPropertyTypes --skipLibCheck --types node".split(
      " ",
    );
  const module = ["--module", "nodenext", "--target", "es2023"];
  try {
    execFileSync(process.execPath, [tsc, ...options, ...module, "docs.ts"], { cwd: folder, encoding: "utf8" });
  } catch (error) {
    expect.fail((error as { stdout: string }).stdout);
  }
  const printed = execFileSync(process.execPath, ["docs.js"], { cwd: folder, encoding: "utf8" });
  expect(printed.trimEnd().split("\n")).toEqual(promised(code));
});
