import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { cacheFolder } from "../../src/data/index.ts";

test.each(["", "no JSON", "null", "[]", '"workspaces"', undefined])(
  "a package.json that holds %j is passed over",
  (text) => {
    const root = realpathSync(mkdtempSync(join(tmpdir(), "iqvae-")));
    const [before, cache] = [process.cwd(), process.env.IQVAE_CACHE];
    onTestFinished(() => {
      process.chdir(before);
      if (cache !== undefined) process.env.IQVAE_CACHE = cache;
      rmSync(root, { recursive: true });
    });
    writeFileSync(join(root, "package.json"), '{ "workspaces": [] }');
    mkdirSync(join(root, "a"));
    // Without a text, it is a folder.
    if (text === undefined) mkdirSync(join(root, "a", "package.json"));
    else writeFileSync(join(root, "a", "package.json"), text);
    process.chdir(join(root, "a"));
    delete process.env.IQVAE_CACHE;
    expect(cacheFolder()).toBe(join(root, ".cache", "iqvae"));
    process.env.IQVAE_CACHE = "";
    expect(cacheFolder()).toBe(join(root, ".cache", "iqvae"));
    delete process.env.IQVAE_CACHE;
  },
);
