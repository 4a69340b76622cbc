import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import type { ViteDevServer } from "vite";
import { expect, onTestFinished, test } from "vitest";
import { models } from "../vite/models.ts";

type Serve = (request: { url: string }, response: PassThrough, next: () => void) => void;

/** What the development server answers, or `undefined` where it leaves the question to others. */
async function answer(folder: string, url: string): Promise<string | undefined> {
  const served: Serve[] = [];
  const middlewares = { use: (one: Serve) => served.push(one) };
  (models(folder).configureServer as (server: ViteDevServer) => void)({ middlewares } as unknown as ViteDevServer);
  const response = new PassThrough();
  return await new Promise((done) => {
    served[0]!({ url }, response, () => done(undefined));
    text(response).then(done);
  });
}

test("the development server shows files of the folder of models, and nothing beside it", async () => {
  const root = mkdtempSync(join(tmpdir(), "models-"));
  onTestFinished(() => rmSync(root, { recursive: true }));
  for (const folder of ["models/one", "models-of-others"]) mkdirSync(join(root, folder), { recursive: true });
  writeFileSync(join(root, "models/one/README.md"), "a card");
  writeFileSync(join(root, "models-of-others/README.md"), "a secret");
  writeFileSync(join(root, "secret"), "a secret");
  const from = (url: string) => answer(join(root, "models"), url);
  expect(await from("/models/one/README.md")).toBe("a card");
  for (const url of ["%2e%2e%2fmodels-of-others/README.md", "..%2fsecret", "one", "two/README.md", ""])
    expect(await from(`/models/${url}`)).toBeUndefined();
  expect(await from("/other/one/README.md")).toBeUndefined();
});
