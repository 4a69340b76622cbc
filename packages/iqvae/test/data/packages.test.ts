import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, it, vi } from "vitest";
import { namingFolders } from "../../src/data/damaged.ts";
import { type DataPackage, packageSource } from "../../src/data/packages.ts";
import { PackageError, packageFolderOf } from "../../src/support/packages.ts";
import { temporaryCache } from "./sets/photographs.ts";

afterEach(() => vi.unstubAllEnvs());

const BASE: Omit<DataPackage, "kind"> = {
  name: "thing",
  version: "1",
  sha256: "0".repeat(64),
  megabytes: 7,
  terms: { author: "somebody", license: "MIT", url: "https://example.org" },
};
const CAUTION = "Mind that nobody knows whose it is.";

/** Programs that only write down their calls, in the place of all others. */
function onlyFakes(cache: string) {
  const bin = join(cache, "bin");
  mkdirSync(bin);
  const log = join(cache, "calls");
  writeFileSync(log, "");
  for (const name of ["npm", "apt-get"]) {
    writeFileSync(join(bin, name), `#!/bin/sh\necho "${name} $*" >> "${log}"; exit 1\n`);
    chmodSync(join(bin, name), 0o755);
  }
  vi.stubEnv("PATH", bin);
  return () => readFileSync(log, "utf8").trim().split("\n").filter(Boolean);
}

it("fetches npm's packages unasked, but not Debian's, nor any with a caution", async () => {
  const cache = temporaryCache();
  const calls = onlyFakes(cache);
  const messages: string[] = [];
  const source = packageSource("things", cache, false, (message) => messages.push(message));
  for (const wanted of [
    { ...BASE, kind: "deb" },
    { ...BASE, kind: "npm", caution: CAUTION },
  ] as const) {
    const refused = source(wanted);
    await expect(refused).rejects.toThrow("npx iqvae data things --fetch");
    await expect(refused).rejects.toThrow("(7 MB)");
  }
  await expect(source({ ...BASE, kind: "npm", caution: CAUTION })).rejects.toThrow(CAUTION);
  expect([calls(), messages]).toEqual([[], []]);
  await expect(source({ ...BASE, kind: "npm" })).rejects.toThrow("could not be fetched");
  expect(calls()).toEqual(["npm pack --ignore-scripts thing@1"]);
});

it("says a caution when it fetches, and nothing of what is at hand", async () => {
  const cache = temporaryCache();
  const calls = onlyFakes(cache);
  const messages: string[] = [];
  const source = packageSource("things", cache, true, (message) => messages.push(message));
  const wanted = { ...BASE, kind: "npm", caution: CAUTION } as const;
  await expect(source(wanted)).rejects.toThrow("could not be fetched");
  expect(messages[0]).toContain(CAUTION);
  expect(messages[0]).toContain("7 MB");
  mkdirSync(packageFolderOf(wanted, cache), { recursive: true });
  expect(await source(wanted)).toBe(packageFolderOf(wanted, cache));
  expect([calls().length, messages.length]).toEqual([1, 2]);
});

it("names the folders of a recipe whatever fails in reading them, but not where it says itself what to do", async () => {
  const recipe = (error: Error) => {
    const fail = () => Promise.reject(error);
    const facts = { trueImages: fail, open: { what: "kinds", of: fail } };
    const prepare = () => ({ entries: [], draw: fail });
    return namingFolders(["/a", "/b"], {
      ...{ name: "things", condition: { kind: "edges" }, licenses: [], parts: {}, facts },
      prepare,
    });
  };
  const all = async (error: Error) => {
    const { facts, prepare } = recipe(error);
    const { draw } = await prepare();
    const calls = [draw(0), facts!.trueImages!("1", 1, 32, Math.random), facts!.open!.of("1", 32)];
    return (await Promise.allSettled(calls)).map((end) => (end as PromiseRejectedResult).reason.message);
  };
  expect(await all(new Error("Read error at scanline 873.\n"))).toEqual(
    Array(3).fill(
      "A package in /a or /b cannot be read (Read error at scanline 873): delete these folders, and it is fetched anew.",
    ),
  );
  expect(await all(new PackageError("fetch it"))).toEqual(Array(3).fill("fetch it"));
});
