import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";

/** A clone with a page of its own: other tests serve that of the repository, which is not whole while it is built. */
function cloned(): string {
  const root = fileURLToPath(new URL("../../..", import.meta.url));
  const clone = mkdtempSync(join(tmpdir(), "studio-start-"));
  onTestFinished(() => rmSync(clone, { recursive: true }));
  const filter = (path: string) => path !== join(root, "apps/studio/dist");
  for (const part of ["scripts", "apps/studio", "package-lock.json"])
    cpSync(join(root, part), join(clone, part), { recursive: true, filter });
  for (const part of ["models", "node_modules", "packages", "tsconfig.base.json"])
    symlinkSync(join(root, part), join(clone, part));
  return clone;
}

test("npm run studio builds the page, serves it with the models of the box, and ends by Ctrl-C", async () => {
  const script = join(cloned(), "scripts/studio.mjs");
  const { NODE_ENV: _, VITEST: __, ...env } = process.env;
  const child = spawn(process.execPath, [script], { env: { ...env, PORT: "0" }, stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  const address = await new Promise<string>((resolve, reject) => {
    child.stdout.on("data", (chunk: Buffer) => {
      said += chunk;
      const [, url] = /The studio is at (\S+)/.exec(said) ?? [];
      if (url !== undefined) resolve(url);
    });
    child.on("exit", () => reject(new Error(`it ended: ${said}`)));
  });
  const answers = await Promise.all(
    ["", "service-worker.js", "licenses.txt", "models/models.json", "models/start/model.safetensors"].map(
      async (path) => (await fetch(address + path)).status,
    ),
  );
  expect(answers).toEqual([200, 200, 200, 200, 200]);
  child.removeAllListeners("exit");
  const ended = once(child, "exit");
  child.kill("SIGINT");
  const [code, signal] = await ended;
  expect(code === 0 || signal === "SIGINT" || code === 130).toBe(true);
});
