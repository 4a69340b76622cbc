import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { builtLibrary } from "@iqvae/torch";
import { afterAll, expect, test } from "vitest";
import { Workspace } from "./program.ts";

const workspace = new Workspace();
/** A build that has the addon and no kernels. */
const name = `without-kernels-${process.pid}`;
const torch = fileURLToPath(new URL("../../../torch/build", import.meta.url));
const record = join(torch, name, "current.json");
const env = { TORCH_BUILD: name };
afterAll(() => {
  workspace.remove();
  rmSync(dirname(record), { recursive: true });
});

mkdirSync(dirname(record));
writeFileSync(record, JSON.stringify({ [process.env.LIBTORCH ?? ""]: relative(dirname(record), builtLibrary(torch)) }));

test("without kernels no training begins, and doctor says so", async () => {
  const run = (...args: string[]) => workspace.startBy([process.execPath], args, env).ended;
  const trained = await run("train", "tiny");
  expect([trained.code, trained.out, existsSync(workspace.at("runs"))]).toEqual([1, "", false]);
  expect(trained.err).toMatch(new RegExp(`iqvae/build/${name}; run \`npm run setup\``));
  expect((await run("doctor")).out).toMatch(new RegExp(`kernels of iqvae +missing.*iqvae/build/${name}`));
});

test("without the addon doctor says so, beside all else", async () => {
  const { code, out, err } = await workspace.startBy([process.execPath], ["doctor"], { LIBTORCH: "/nowhere" }).ended;
  expect([code, err]).toEqual([0, ""]);
  expect(out).toMatch(/^native addon +missing.* for LIBTORCH=\/nowhere; run `npm run setup`$/m);
  for (const what of ["node", "processor", "data caches", "data sets", "data license", "network"])
    expect(out).toMatch(new RegExp(`^${what} +(?!.*cannot be told)\\S`, "m"));
});
