import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

/* What the built declarations are to a program in TypeScript that has the packages installed. */

const root = fileURLToPath(new URL("../../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "iqvae-declarations-"));
const PACKAGES = { torch: "@iqvae/torch", runtime: "@iqvae/runtime", iqvae: "iqvae" } as const;

beforeAll(() => {
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What the compiler says of a file. */
function compile(file: string, options: Readonly<Record<string, unknown>>): string[] {
  const compilerOptions = {
    target: "ES2022",
    lib: ["ES2023", "ESNext.Disposable"],
    module: "NodeNext",
    types: ["node"],
    strict: true,
    ...options,
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: [file] }));
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  const { stdout } = spawnSync(process.execPath, [compiler, "-p", folder], { encoding: "utf8", cwd: folder });
  return stdout.split("\n").filter((line) => / error TS/.test(line));
}

/** Members that are no part of the interface. */
function internalMembers(name: string): Set<string> {
  const dist = join(root, "packages", name, "dist");
  const files = readdirSync(dist, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".d.ts"));
  const texts = files.map((file) => readFileSync(join(dist, file), "utf8"));
  return new Set(
    texts.flatMap((text) => [...text.matchAll(/@internal [^/]*\*\/\s*(?:get )?(\w+)/g)].map((m) => m[1]!)),
  );
}

/** One declaration for each value that a package exports, and for each member of its classes. */
async function declarationsOf(name: keyof typeof PACKAGES): Promise<string[]> {
  const internal = internalMembers(name);
  const own = (object: object) =>
    Object.getOwnPropertyNames(object).filter((member) => member !== "constructor" && !internal.has(member));
  const values = Object.entries((await import(join(root, "packages", name, "dist/index.js"))) as object);
  return values.flatMap(([value, content], i) => {
    if (!/^class\b/.test(Function.prototype.toString.call(typeof content === "function" ? content : () => {})))
      return [`export const value${i} = { it: M.${value} };`];
    const made = `export const made${i} = (given: ConstructorParameters<typeof M.${value}>) => given;`;
    return [
      made,
      ...own(content.prototype).map((member, j) => `export const m${i}_${j} = (it: M.${value}) => it.${member};`),
    ];
  });
}

test.each(Object.keys(PACKAGES) as (keyof typeof PACKAGES)[])(
  "%s: types that its signatures name are exported",
  async (name) => {
    const declarations = await declarationsOf(name);
    expect(declarations.length).toBeGreaterThan(50);
    const file = `${name}.ts`;
    writeFileSync(join(folder, file), [`import * as M from "${PACKAGES[name]}";`, ...declarations].join("\n"));
    const said = compile(file, { declaration: true, emitDeclarationOnly: true, outDir: "out", skipLibCheck: true });
    // Other errors come of declarations that go about generic classes and protected members too simply.
    expect(said.flatMap((line) => /error TS(?:2883|40\d\d): .*'(\w+)' from/.exec(line)?.[1] ?? [])).toEqual([]);
  },
);

test("a program trains both stages and measures an exported model by what the package exports", () => {
  const program = `
    import {
      CheckpointError, DivergedError, type ExportedModel, type FeatureNetwork, InterruptedError, loadConfig, openExported,
      PackageError, type PairDataset, perceptualLoss, type RunScore, scoreExported, Stage1Trainer, Stage2Trainer, TokenPairs,
      type TokenSplits, tokensOf,
    } from "iqvae";
    const { precision, ...config } = loadConfig("tiny");
    export async function train(dataset: PairDataset, network: FeatureNetwork): Promise<Stage2Trainer> {
      const { model } = new Stage1Trainer({ config: config.stage1, precision, dataset, distance: perceptualLoss(network) });
      const tokens: TokenSplits = await tokensOf({
        precision, model, dataset, path: "tokens.safetensors", source: dataset.key, onProgress: () => {},
      });
      const { shape, conditions, images } = tokens.validation;
      const validation = new TokenPairs(shape, conditions, images);
      const { codebook } = model.image.quantizer;
      return new Stage2Trainer({ config: config.stage2, precision, train: tokens.train, validation, codebook });
    }
    export function measure(folder: string): Promise<RunScore> {
      const model: ExportedModel = openExported(folder);
      return scoreExported(model, { conditions: 8, samples: 2, seed: 0 });
    }
    export const isExpected = (error: unknown) =>
      [CheckpointError, DivergedError, InterruptedError, PackageError].some((kind) => error instanceof kind);
  `;
  writeFileSync(join(folder, "training.ts"), program);
  expect(compile("training.ts", { noEmit: true, skipLibCheck: true })).toEqual([]);
});

test("those of the runtime need no types of Node.js, no library newer than ES2022, and no compiler newer than 5.0", () => {
  writeFileSync(join(folder, "page.ts"), 'export * from "@iqvae/runtime";');
  expect(compile("page.ts", { noEmit: true, types: [], lib: ["ES2022", "DOM"], skipLibCheck: false })).toEqual([]);
  const dist = join(root, "packages/runtime/dist");
  const files = readdirSync(dist, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".d.ts"));
  // Typed arrays had no parameters before 5.7.
  const newer = files.filter((file) => /(Array|Buffer|DataView)<Array/.test(readFileSync(join(dist, file), "utf8")));
  expect(newer).toEqual([]);
});

test("the declarations need no types of browsers", () => {
  const imports = Object.entries(PACKAGES).map(([name, path]) => `export * as ${name} from "${path}";`);
  writeFileSync(join(folder, "all.ts"), imports.join("\n"));
  const said = compile("all.ts", { noEmit: true, skipLibCheck: false });
  expect(said).toEqual([]);
});
