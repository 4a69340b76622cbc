import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { describe, expect, it } from "vitest";
import { createProgram } from "../../src/cli/program.ts";
import { blocksOf, DOCUMENTS, read, root } from "./documents.ts";

/* Each command in the documents is parsed by the command line's own definitions; nothing of it runs. */

const scripts = Object.keys(JSON.parse(read("package.json")).scripts as Record<string, string>);

/** The words of a line as a shell would split them. */
const wordsOf = (line: string): string[] =>
  [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, double, single, plain]) => double ?? single ?? plain!);

/** The commands of a document: lines of its indented blocks, without what is explained behind them. */
function commandsOf(path: string): { readonly line: number; readonly command: string }[] {
  return blocksOf(read(path))
    .filter(({ language }) => ["indented", "sh", "bash"].includes(language))
    .flatMap(({ text, line }) => text.split("\n").map((each, at) => ({ line: line + at, command: each.trim() })))
    .map(({ line, command }) => ({ line, command: command.replace(/\s+#.*$|\s{2,}.*$/, "") }))
    .filter(({ command }) => /^([A-Z_]+=\S+ )*(npx|npm|node|python3|pip|curl|tensorboard)\b/.test(command));
}

/** Throws if the command line would refuse these arguments; values are not looked up on this machine. */
async function parse(given: readonly string[]): Promise<void> {
  let command: Command = await createProgram();
  let args = [...given];
  for (;;) {
    const next = command.commands.find((each) => each.name() === args[0]);
    if (next === undefined) break;
    command = next;
    args = args.slice(1);
  }
  if (command.commands.length > 0 && args.length > 0) throw new Error(`there is no command '${args[0]}'`);
  command.exitOverride().configureOutput({ writeErr: () => {} });
  // Which devices there are differs from machine to machine.
  for (const option of command.options) if (option.long === "--device") Reflect.deleteProperty(option, "parseArg");
  const globals = ["--json", "--debug", "--help"];
  const { operands, unknown } = command.parseOptions(args.filter((word) => !globals.includes(word)));
  if (unknown.length > 0) throw new Error(`there is no option '${unknown[0]}' of '${command.name()}'`);
  const { registeredArguments } = command;
  const needed = registeredArguments.filter(({ required }) => required).length;
  if (operands.length < needed && !given.includes("--help"))
    throw new Error(`'${command.name()}' needs ${needed} arguments`);
  if (operands.length > registeredArguments.length && !registeredArguments.at(-1)?.variadic)
    throw new Error(`'${command.name()}' takes ${registeredArguments.length} arguments, not ${operands.length}`);
}

/** Commands of npm itself, and programs that npx runs for others. */
const OF_NPM = new Set(["install", "i", "ci", "pack", "publish", "login", "version", "pkg"]);
const BY_NPX = new Set(["vitest", "@iqvae/torch", "iqvae-torch"]);

/** Throws for a command that cannot be typed as it stands. */
async function check(command: string): Promise<void> {
  const [program = "", first = "", ...rest] = wordsOf(command.replace(/^([A-Z_]+=\S+ )*/, ""));
  if (program === "npx" && first === "iqvae") {
    await parse(rest);
  } else if (program === "npm" && !OF_NPM.has(first)) {
    const script = first === "run" ? rest[0] : first;
    if (!scripts.includes(script ?? "")) throw new Error(`package.json has no script '${script}'`);
  } else if ((program === "node" || program === "python3") && first !== "-m") {
    const file = [first, ...rest].find((word) => !word.startsWith("-"));
    if (file === undefined || !existsSync(join(root, file))) throw new Error(`there is no ${file}`);
  } else if (program === "npx" && !BY_NPX.has(first)) {
    throw new Error(`no test knows ${command}`);
  }
}

describe.each(DOCUMENTS.map((path) => ({ path, commands: commandsOf(path) })))("$path", ({ commands }) => {
  it("has only commands and options that there are", async () => {
    const wrong: string[] = [];
    for (const { line, command } of commands)
      await check(command).catch(({ message }: Error) => wrong.push(`line ${line}: ${command}: ${message}`));
    expect(wrong).toEqual([]);
  });
});

it("finds commands, and refuses wrong ones", async () => {
  expect(DOCUMENTS.flatMap(commandsOf).length).toBeGreaterThan(80);
  await expect(check("npx iqvae sample models/faces --cond map.png")).rejects.toThrow("--cond");
  await expect(check("npx iqvae smaple models/faces")).rejects.toThrow("smaple");
  await expect(check("npx iqvae sample a --count none")).rejects.toThrow();
  await expect(check("npx iqvae resume")).rejects.toThrow("argument");
  await expect(check("npm run pakc")).rejects.toThrow("pakc");
  await expect(check("node scripts/pakc.mjs")).rejects.toThrow("pakc");
});
