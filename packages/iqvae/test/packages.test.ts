import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ImageGenerator } from "@iqvae/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkTypes, install, run, use } from "../../../scripts/installed.mjs";
import { PACKAGES, packAll } from "../../../scripts/pack.mjs";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "iqvae-packages-"));
let tarballs: Record<string, string>;
beforeAll(() => {
  tarballs = packAll(work);
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

test.each(PACKAGES)("%s: its types are those of its code, for all who can import it", (name) => {
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
  for (const each of ["LICENSE", "README.md", "package.json", "dist/index.js", "dist/index.d.ts"])
    expect(files).toContain(`package/${each}`);
  expect(files.filter((file) => /\.map$|tsbuildinfo|\/test\/|\/src\/|\.onnx$/.test(file))).toEqual([]);
});

test("the program's package has one model, and is small", () => {
  const files = run(work, "tar", "tzf", tarballs.iqvae!).trim().split("\n");
  const models = files.flatMap((file) => /^package\/models\/([^/]+)\/model.json$/.exec(file)?.[1] ?? []);
  expect(models).toEqual(["start"]);
  expect(statSync(tarballs.iqvae!).size).toBeLessThan(16e6);
});

test("installed in an empty folder, they draw, serve and have types, without libtorch", async () => {
  const folder = join(work, "empty");
  install(folder, ...Object.values(tarballs), "@types/node@20");
  const used = use(folder);
  const model = join(root, "models/start");
  await using generator = await ImageGenerator.load(model);
  const [[pixels]] = (await generator.draw(generator.examples.slice(0, 1), { seed: 1 })) as [[Uint8Array]];
  expect(used).toMatchObject({
    version: "0.1.0",
    drawn: createHash("sha256").update(pixels).digest("hex"),
    sample: "PNG",
    served: { png: "PNG", title: "IQ-VAE Studio", code: 0 },
    computed: expect.stringMatching(/^no native library is built in .*; run `npx @iqvae\/torch`$/),
  });
  checkTypes(folder);
});
