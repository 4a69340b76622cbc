import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ImageGenerator } from "@iqvae/runtime";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { add, build, checkTypes, install, run, use } from "../../../scripts/installed.mjs";
import { CODE, PACKAGES, packAll, withPrebuilt } from "../../../scripts/pack.mjs";
import { prebuild } from "../../../scripts/prebuild.mjs";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "iqvae-packages-"));
/** Those that have code, in a folder that was empty. */
const folder = join(work, "empty");
let tarballs: Record<string, string>;
beforeAll(() => {
  tarballs = packAll(work, []);
  install(folder, ...CODE.map((name) => tarballs[name]!), "@types/node@20");
});
afterAll(() => rmSync(work, { recursive: true }));

/** What is needed of attw's answer. */
interface Analysis {
  readonly entrypoints: Readonly<Record<string, unknown>>;
  readonly problems: readonly { readonly kind: string; readonly resolutionKind: string }[];
}
/** Ways to import that ES modules are not for; types and code are found by them, too, as some bundlers look for them. */
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
  const elsewhere = analysis.problems.filter(
    ({ kind, resolutionKind }) => !OLD.includes(resolutionKind) || kind === "NoResolution",
  );
  expect(elsewhere).toEqual([]);
});

test.each(PACKAGES)("%s: holds its license and what it needs, and nothing of its making", (name) => {
  const files = run(work, "tar", "tzf", tarballs[name]!).trim().split("\n");
  const code = CODE.includes(name) ? ["dist/index.js", "dist/index.d.ts"] : [];
  for (const each of ["LICENSE", "README.md", "package.json", ...code]) expect(files).toContain(`package/${each}`);
  expect(files.filter((file) => /\.map$|tsbuildinfo|\/test\/|\/src\/|\.onnx$/.test(file))).toEqual([]);
  // Vite shows a stack for each file that names a map that is not there.
  for (const each of code)
    expect(run(work, "tar", "xzOf", tarballs[name]!, `package/${each}`)).not.toContain("sourceMappingURL");
});

test("the program's package has one model, and is small", () => {
  const files = run(work, "tar", "tzf", tarballs.iqvae!).trim().split("\n");
  const models = files.flatMap((file) => /^package\/models\/([^/]+)\/model.json$/.exec(file)?.[1] ?? []);
  expect(models).toEqual(["start"]);
  expect(statSync(tarballs.iqvae!).size).toBeLessThan(16e6);
});

/** Makes empty files of the names that it is asked for. */
const COMPILER = `#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in --version) echo "none 1.0"; exit;; -o) : > "$2"; exit;; esac
  shift
done
exit 1
`;

test("what lies in a folder of the program's own is built by it, and by its owner alone", () => {
  const nested = join(work, "nested");
  cpSync(folder, nested, { recursive: true, verbatimSymlinks: true });
  const own = join(nested, "node_modules/iqvae");
  mkdirSync(join(own, "node_modules"), { recursive: true });
  renameSync(join(nested, "node_modules/@iqvae"), join(own, "node_modules/@iqvae"));
  writeFileSync(join(work, "no-compiler"), COMPILER, { mode: 0o755 });
  // By its name alone: the path of the folder may have spaces, at which CXX ends.
  vi.stubEnv("PATH", `${work}:${process.env.PATH}`);
  vi.stubEnv("CXX", "no-compiler -m64");
  try {
    if (process.getuid?.() === 0) {
      chmodSync(work, 0o755);
      const args = [join(own, "bin/iqvae.mjs"), "setup"];
      const { status, stderr } = spawnSync(process.execPath, args, { cwd: nested, uid: 65534, encoding: "utf8" });
      expect([status, stderr]).toEqual([1, expect.stringMatching(/@iqvae\/torch\/build.*\(EACCES\).*root.*\n$/)]);
    }
    const takes = expect.stringMatching(/^Compiling, which takes about \d+ (seconds|minutes)/);
    expect(build(nested)).toEqual([
      takes,
      expect.stringContaining("iqvae/node_modules/@iqvae/torch/build"),
      takes,
      expect.stringContaining("iqvae/build"),
    ]);
    for (const library of [join(own, "node_modules/@iqvae/torch"), own])
      expect(Object.keys(JSON.parse(readFileSync(join(library, "build/current.json"), "utf8")))).toHaveLength(1);
  } finally {
    vi.unstubAllEnvs();
  }
});

test("installed in an empty folder, they draw, serve and have types, without libtorch and without data sets", async () => {
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
    computed: expect.stringMatching(/^no native library is built in .*; run `npx iqvae setup`$/),
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
  expect(use(folder, process.execPath, "scenes").scenes).toMatch(/^scenes: 18 pairs for training, 2 held out/m);

  const prebuilt = await prebuild(join(work, "prebuilt"));
  const { optionalDependencies } = withPrebuilt({ version: used.version }, [prebuilt]);
  const [[name = "", version] = []] = Object.entries(optionalDependencies);
  add(folder, prebuilt);
  const own = join(folder, "node_modules", name, "package.json");
  const manifest = JSON.parse(readFileSync(own, "utf8"));
  expect([manifest.name, manifest.version]).toEqual([name, version]);
  expect(use(folder, process.execPath, "computed").computed).toEqual([4, 6]);
  writeFileSync(own, JSON.stringify({ ...manifest, libtorch: { ...manifest.libtorch, version: "9.9" } }));
  const program =
    'import { torchVersion } from "@iqvae/torch"; try { torchVersion() } catch ({ message }) { console.log(message) }';
  expect(run(folder, process.execPath, "--input-type=module", "-e", program)).toMatch(
    /for libtorch 9\.9, but here is \d.*run `npx @iqvae\/torch`\n$/,
  );
});
