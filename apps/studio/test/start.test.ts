import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

test("npm run studio builds the page, serves it with the models of the box, and ends by Ctrl-C", async () => {
  const script = fileURLToPath(new URL("../../../scripts/studio.mjs", import.meta.url));
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
