import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig, openDataset } from "../../src/index.ts";
import { type Block, blocksOf, DOCUMENTS, read, root } from "./documents.ts";

/*
 * The code blocks of the documents: TypeScript compiles and, where that takes moments, runs; configurations are read; the tutorial's
 * files make the data set that it says.
 */

const folder = join(root, "build", "docs-code");
const code = (path: string): Block[] =>
  blocksOf(read(path)).filter(({ language }) => language === "ts" || language === "js");

/** What the text around a block says is there. */
const GIVEN: Readonly<Record<string, string>> = {
  "packages/runtime/README.md":
    "declare const map: Uint8Array;\ndeclare const show: (share: number) => void;\n" +
    "declare const paint: (sample: number, pixels: Uint8Array) => void;\n",
  "docs/export.md": 'import { InferenceSession } from "onnxruntime-web";\n',
};

/** `packages/torch/test/docs.test.ts` runs the code of this one. */
const ELSEWHERE = "docs/torch.md";

/** Blocks that are compiled only: they need a browser, a trained run, or minutes of data. */
const COMPILED_ONLY = [/"\/models\//, /openRun\(/, /openDataset\(/, /runs\/tiny/, /model\.safetensors/];

interface Program {
  readonly name: string;
  readonly file: string;
  readonly text: string;
  readonly runs: boolean;
}

const programs: Program[] = DOCUMENTS.filter((path) => path !== ELSEWHERE).flatMap((path) =>
  code(path).map(({ text, line }) => ({
    name: `${path}, line ${line}`,
    file: `${path.replace(/\W/g, "-")}-${line}.ts`,
    text: `${GIVEN[path] ?? ""}${text}\nexport {};\n`,
    runs: GIVEN[path] === undefined && !COMPILED_ONLY.some((pattern) => pattern.test(text)),
  })),
);

beforeAll(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const { file, text } of programs) writeFileSync(join(folder, file), text);
  cpSync(join(root, "docs/images/own-map.png"), join(folder, "map.png"));
  symlinkSync(join(root, "models"), join(folder, "models"));
  const paths = Object.fromEntries(
    ["torch", "runtime", "iqvae"].map((name) => [
      name === "iqvae" ? name : `@iqvae/${name}`,
      [join(root, `packages/${name}/src/index.ts`)],
    ]),
  );
  const compilerOptions = {
    lib: ["ES2023", "ESNext.Disposable", "DOM"],
    noEmit: true,
    composite: false,
    declaration: false,
    allowImportingTsExtensions: true,
    rewriteRelativeImportExtensions: false,
    verbatimModuleSyntax: false,
    typeRoots: [join(root, "node_modules/@types")],
    paths,
  };
  const config = { extends: join(root, "tsconfig.base.json"), compilerOptions, include: ["*.ts"] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("TypeScript", () => {
  it("compiles", () => {
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    const compile = () =>
      execFileSync(process.execPath, [tsc, "-p", folder, "--pretty", "false"], { encoding: "utf8" });
    expect(programs.length).toBeGreaterThan(8);
    let errors = "";
    try {
      compile();
    } catch (error) {
      errors = (error as { stdout: string }).stdout;
    }
    expect(errors).toBe("");
  });

  it.each(programs.filter(({ runs }) => runs))("$name runs", async ({ file }) => {
    const before = process.cwd();
    process.chdir(folder);
    try {
      await import(join(folder, file));
    } finally {
      process.chdir(before);
    }
  });

  it("README's example writes the picture that it names", () => {
    expect(readFileSync(join(folder, "six.png")).subarray(1, 4).toString()).toBe("PNG");
  });
});

describe("configurations", () => {
  const blocks = DOCUMENTS.flatMap((path) =>
    blocksOf(read(path))
      .filter(({ language }) => language === "json")
      .map(({ text, line }) => ({ at: `${path}, line ${line}`, text })),
  );

  it.each(blocks)("$at is one", ({ text }) => {
    const file = join(folder, "shown.json");
    writeFileSync(file, text);
    const { name, data } = JSON.parse(text) as { name: string; data: { classes: unknown[] } };
    expect(loadConfig(file)).toMatchObject({ name, data: { classes: data.classes } });
  });
});

describe("the tutorial", () => {
  it("shows the configuration that is in the file", () => {
    const shown = blocksOf(read("docs/tutorial.md")).find(({ language }) => language === "json");
    expect(JSON.parse(shown!.text)).toEqual(JSON.parse(read("docs/examples/landscapes.json")));
  });

  it("makes a data set that can be opened, with the classes of the configuration", async () => {
    const script = join(root, "docs/examples/landscapes.mjs");
    execFileSync(process.execPath, [script, "24"], { cwd: folder });
    mkdirSync(join(folder, "docs/examples"), { recursive: true });
    cpSync(join(root, "docs/examples/landscapes.json"), join(folder, "docs/examples/landscapes.json"));
    const { data } = loadConfig(join(folder, "docs/examples/landscapes.json"));
    const opened = await openDataset({ ...data, cacheDir: join(folder, "cache") });
    expect(opened.train.length + opened.validation.length).toBe(24);
  });

  it("names the colors of the faces", () => {
    const { condition } = JSON.parse(read("models/faces/model.json")) as {
      condition: { classes: { name: string; color: number[] }[] };
    };
    const table = read("docs/tutorial.md");
    for (const { name, color } of condition.classes) {
      const hex = color.map((value) => value.toString(16).padStart(2, "0")).join("");
      expect(table).toContain(`| ${name} | \`#${hex}\` |`);
    }
  });
});
