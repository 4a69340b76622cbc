import { execFileSync, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkWritable, FileReplacement, replaceFile, tensor, WriteError, writeSafetensors } from "@iqvae/torch";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { unmount } from "./small-disk.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "files-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const at = (...names: string[]) => join(folder, ...names);
const left = () => readdirSync(folder).sort();

describe("a regular file", () => {
  test("is made, and replaced as a whole", () => {
    replaceFile(at("a"), "old");
    const before = statSync(at("a")).ino;
    replaceFile(at("a"), Uint8Array.of(110, 101, 119));
    expect(readFileSync(at("a"), "utf8")).toBe("new");
    expect(statSync(at("a")).ino).not.toBe(before);
    expect(left()).toEqual(["a"]);
  });

  test("keeps its permissions", () => {
    writeFileSync(at("private"), "old", { mode: 0o600 });
    replaceFile(at("private"), "new");
    expect(statSync(at("private")).mode & 0o777).toBe(0o600);
  });

  test("that is read-only is refused, even to root, before anything is written", () => {
    writeFileSync(at("a"), "old");
    chmodSync(at("a"), 0o444);
    for (const write of [() => replaceFile(at("a"), "new"), () => checkWritable(at("a"))]) {
      expect(write).toThrow(WriteError);
      expect(write).toThrow(/Could not write .*\/a: the permissions do not allow it.*EACCES/);
    }
    expect(readFileSync(at("a"), "utf8")).toBe("old");
    expect(left()).toEqual(["a"]);
  });

  test("may have a name as long as the file system takes", () => {
    for (const name of ["x".repeat(255), "é".repeat(127)]) {
      replaceFile(at(name), "long");
      expect(readFileSync(at(name), "utf8")).toBe("long");
    }
    expect(() => replaceFile(at("x".repeat(256)), "")).toThrow(/name is too long.*ENAMETOOLONG/);
    expect(left()).toHaveLength(2);
  });

  test("that is mounted by itself is written to", ({ skip }) => {
    writeFileSync(at("source"), "old");
    writeFileSync(at("mounted"), "");
    const { status } = spawnSync("mount", ["--bind", at("source"), at("mounted")]);
    if (status !== 0) skip("this process may not mount a file");
    try {
      replaceFile(at("mounted"), "new");
      expect(readFileSync(at("source"), "utf8")).toBe("new");
      expect(left()).toEqual(["mounted", "source"]);
    } finally {
      unmount(at("mounted"));
    }
  });

  test("is as it was until the pieces are put in place, and when they are not", () => {
    writeFileSync(at("a"), "old");
    const file = new FileReplacement(at("a"));
    file.write("new, ");
    file.write("piece by piece");
    expect(readFileSync(at("a"), "utf8")).toBe("old");
    file.discard();
    expect([readFileSync(at("a"), "utf8"), left()]).toEqual(["old", ["a"]]);
  });
});

describe("what is not a regular file stays what it is", () => {
  test("a link: the file that it points to is replaced, and made if it is not there", () => {
    mkdirSync(at("elsewhere"));
    symlinkSync("elsewhere/a", at("link"));
    symlinkSync("link", at("link-to-link"));
    for (const content of ["first", "second"]) {
      replaceFile(at("link-to-link"), content);
      expect(readFileSync(at("elsewhere", "a"), "utf8")).toBe(content);
      expect([readlinkSync(at("link")), readlinkSync(at("link-to-link"))]).toEqual(["elsewhere/a", "link"]);
    }
    expect([left(), readdirSync(at("elsewhere"))]).toEqual([["elsewhere", "link", "link-to-link"], ["a"]]);
  });

  test("a link to itself, and one into a folder that is missing", () => {
    symlinkSync("circle", at("circle"));
    symlinkSync("missing/a", at("astray"));
    expect(() => replaceFile(at("circle"), "")).toThrow(/links lead in a circle.*ELOOP/);
    for (const write of [checkWritable, (path: string) => replaceFile(path, "")])
      expect(() => write(at("astray"))).toThrow(/no folder .*missing.*ENOENT/);
    expect(left()).toEqual(["astray", "circle"]);
  });

  // A device of our own that swallows what is written to it, as the machine's /dev/null does.
  test("a device", ({ skip }) => {
    if (spawnSync("mknod", [at("null"), "c", "1", "3"]).status !== 0) skip("this process may not make devices");
    checkWritable(at("null"));
    replaceFile(at("null"), "swallowed");
    writeSafetensors(at("null"), new Map([["x", tensor([1])]]));
    const after = lstatSync(at("null"));
    expect([after.isCharacterDevice(), after.rdev]).toEqual([true, 259]);
    expect(left()).toEqual(["null"]);
  });

  test("a device that is full", ({ skip }) => {
    if (spawnSync("mknod", [at("full"), "c", "1", "7"]).status !== 0) skip("this process may not make devices");
    expect(() => replaceFile(at("full"), "x")).toThrow(/Could not write .*\/full: the disk is full.*ENOSPC/);
    expect(lstatSync(at("full")).isCharacterDevice()).toBe(true);
    expect(left()).toEqual(["full"]);
  });

  test("a pipe: its reader gets the content", async () => {
    execFileSync("mkfifo", [at("pipe")]);
    // Nobody reads yet, and the check does not wait for it.
    checkWritable(at("pipe"));
    const reader = spawn("cat", [at("pipe")]);
    let read = "";
    reader.stdout.on("data", (data) => (read += data));
    const ended = new Promise((done) => reader.on("close", done));
    replaceFile(at("pipe"), "through");
    await ended;
    expect(read).toBe("through");
    expect(lstatSync(at("pipe")).isFIFO()).toBe(true);
    expect(left()).toEqual(["pipe"]);
  });
});

describe("what cannot be written is told at once, with what to do", () => {
  test.each([
    ["a missing folder", () => at("missing", "a"), /no folder .*missing\. Make it first \(ENOENT\)/],
    ["a folder", () => folder, /it is a folder\. Name a file \(EISDIR\)/],
    ["the name of a folder that is not there", () => `${at("new")}/`, /it is a folder.*EISDIR/],
    ["no name", () => "", /it is a folder.*EISDIR/],
    ["a folder that is a file", () => at("file", "a"), /part of the path is a file.*ENOTDIR/],
  ])("%s", (_, path, reason) => {
    writeFileSync(at("file"), "");
    for (const write of [checkWritable, (to: string) => replaceFile(to, "x")]) {
      expect(() => write(path())).toThrow(WriteError);
      expect(() => write(path())).toThrow(reason);
    }
    expect(left()).toEqual(["file"]);
  });

  test("checking leaves nothing behind, and changes nothing", () => {
    writeFileSync(at("a"), "old");
    checkWritable(at("a"));
    checkWritable(at("b"));
    expect(readFileSync(at("a"), "utf8")).toBe("old");
    expect(existsSync(at("b"))).toBe(false);
    expect(left()).toEqual(["a"]);
  });
});
