import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ImageGenerator } from "@iqvae/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { add, checkTypes, install, run, use } from "../../../scripts/installed.mjs";
import { CODE, PACKAGES, packAll, withPrebuilt } from "../../../scripts/pack.mjs";
import { prebuild } from "../../../scripts/prebuild.mjs";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "iqvae-packages-"));
let tarballs: Record<string, string>;
beforeAll(() => {
  tarballs = packAll(work, []);
});
afterAll(() => rmSync(work, { recursive: true }));

/** What is needed of attw's answer. */
interface Analysis {
  readonly entrypoints: Readonly<Record<string, unknown>>;
  readonly problems: readonly { readonly kind: string; readonly resolutionKind: string }[];
}
/** Ways to import that ES modules are not for. */
const OLD = ["node10", "node16-cjs"];

const program = (name: string) => join(root, "node_modules/.bin", name);

test.each(PACKAGES)("%s: publint finds nothing to say", (name) => {
  expect(run(work, program("publint"), tarballs[name]!, "--strict")).toContain("All good!");
});

test.each(CODE)("%s: its types are those of its code, for all who can import it", (name) => {
  const { status, stdout } = spawnSync(
    program("attw"),
    [tarballs[name]!, "--profile", "esm-only", "--format", "json"],
    {
      encoding: "utf8",
    },
  );
  const { analysis } = JSON.parse(stdout) as { analysis: Analysis };
  expect([status, Object.keys(analysis.entrypoints)]).toEqual([0, [".", "./package.json"]]);
  const elsewhere = analysis.problems.filter(({ resolutionKind }) => !OLD.includes(resolutionKind));
  expect(elsewhere).toEqual([]);
});

test.each(PACKAGES)("%s: holds its license and what it needs, and nothing of its making", (name) => {
  const files = run(work, "tar", "tzf", tarballs[name]!).trim().split("\n");
  const code = CODE.includes(name) ? ["dist/index.js", "dist/index.d.ts"] : [];
  for (const each of ["LICENSE", "README.md", "package.json", ...code]) expect(files).toContain(`package/${each}`);
  expect(files.filter((file) => /\.map$|tsbuildinfo|\/test\/|\/src\/|\.onnx$/.test(file))).toEqual([]);
});

test("the program's package has one model, and is small", () => {
  const files = run(work, "tar", "tzf", tarballs.iqvae!).trim().split("\n");
  const models = files.flatMap((file) => /^package\/models\/([^/]+)\/model.json$/.exec(file)?.[1] ?? []);
  expect(models).toEqual(["start"]);
  expect(statSync(tarballs.iqvae!).size).toBeLessThan(16e6);
});

test("installed in an empty folder, they draw, serve and have types, without libtorch and without data sets", async () => {
  const folder = join(work, "empty");
  install(folder, ...CODE.map((name) => tarballs[name]!), "@types/node@20");
  expect(readdirSync(join(folder, "node_modules")).includes("@iconify-json")).toBe(false);
  const used = use(folder);
  const model = join(root, "models/start");
  await using generator = await ImageGenerator.load(model);
  const [[pixels]] = (await generator.draw(generator.examples.slice(0, 1), { seed: 1 })) as [[Uint8Array]];
  expect(used).toMatchObject({
    version: "0.1.0",
    drawn: createHash("sha256").update(pixels).digest("hex"),
    sample: "PNG",
    served: { png: "PNG", title: "IQ-VAE Studio", code: 0 },
    scenes: expect.stringContaining("npm install @iqvae/data"),
    computed: expect.stringMatching(/^no native library is built in .*; run `npx @iqvae\/torch`$/),
  });
  checkTypes(folder);
  // It is told of by npm, too, and nothing asks for it.
  const { peerDependencies, peerDependenciesMeta } = JSON.parse(
    readFileSync(join(folder, "node_modules/iqvae/package.json"), "utf8"),
  );
  expect([peerDependencies, peerDependenciesMeta]).toEqual([
    { "@iqvae/data": used.version },
    { "@iqvae/data": { optional: true } },
  ]);
  add(folder, tarballs.data!);
  expect(use(folder).scenes).toMatch(/^scenes: 18 pairs for training, 2 held out/m);

  const prebuilt = await prebuild(join(work, "prebuilt"));
  const { optionalDependencies } = withPrebuilt({ version: used.version }, [prebuilt]);
  const [[name = "", version] = []] = Object.entries(optionalDependencies);
  add(folder, prebuilt);
  const own = join(folder, "node_modules", name, "package.json");
  const manifest = JSON.parse(readFileSync(own, "utf8"));
  expect([manifest.name, manifest.version]).toEqual([name, version]);
  expect(use(folder).computed).toEqual([4, 6]);
  writeFileSync(own, JSON.stringify({ ...manifest, libtorch: { ...manifest.libtorch, version: "9.9" } }));
  const program =
    'import { torchVersion } from "@iqvae/torch"; try { torchVersion() } catch ({ message }) { console.log(message) }';
  expect(run(folder, process.execPath, "--input-type=module", "-e", program)).toMatch(
    /for libtorch 9\.9, but here is \d.*run `npx @iqvae\/torch`\n$/,
  );
});
