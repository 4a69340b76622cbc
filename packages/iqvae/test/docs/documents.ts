import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../../..", import.meta.url));

/** Folders of what is installed, built, drawn, or trained. */
const MADE = new Set([
  "node_modules",
  "dist",
  "build",
  "generated",
  "runs",
  ".cache",
  ".git",
  "__pycache__",
  "landscapes",
]);

/** The files of the repository as paths from the root, found without git, which an unpacked archive does not have. */
export function filesOfRepository(folder = ""): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return MADE.has(entry.name) ? [] : filesOfRepository(path);
    return entry.isFile() ? [path] : [];
  });
}

export const read = (path: string): string => readFileSync(join(root, path), "utf8");

/** Documents that people wrote: README, docs, those of the packages; not what programs wrote, nor the cards of models. */
export const DOCUMENTS = filesOfRepository().filter((path) =>
  /^(README|RELEASING)\.md$|^docs\/[^/]+\.md$|^packages\/\w+\/README\.md$|^bench\/README\.md$/.test(path),
);

export interface Block {
  /** Of a fence: `ts`, `js`, `json`, `cpp` or nothing; `indented` for a block of commands. */
  readonly language: string;
  readonly text: string;
  readonly line: number;
}

/** The code blocks of a Markdown text: fenced ones, and those indented by four spaces after an empty line. */
export function blocksOf(text: string): Block[] {
  const lines = text.split("\n");
  const blocks: Block[] = [];
  for (let at = 0; at < lines.length; at++) {
    const fence = /^( *)(`{3,})(\w*)/.exec(lines[at]!);
    if (fence !== null) {
      const end = lines.findIndex((line, i) => i > at && line.trim() === fence[2]);
      blocks.push({ language: fence[3]!, text: lines.slice(at + 1, end).join("\n"), line: at + 1 });
      at = end;
    } else if (/^ {4}/.test(lines[at]!) && (lines[at - 1] ?? "").trim() === "") {
      const length = lines.slice(at).findIndex((line) => !/^ {4}/.test(line));
      const end = length < 0 ? lines.length : at + length;
      blocks.push({ language: "indented", text: lines.slice(at, end).join("\n"), line: at + 1 });
      at = end;
    }
  }
  return blocks;
}
