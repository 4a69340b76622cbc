import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WriteError } from "@iqvae/torch";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { makeFolder } from "../../src/support/files.ts";

describe("makeFolder", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "files-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test("makes it with those above it, and leaves one that is there", () => {
    const path = join(folder, "a", "b");
    makeFolder(path);
    writeFileSync(join(path, "kept"), "");
    makeFolder(path);
    expect(existsSync(join(path, "kept"))).toBe(true);
  });

  test.each(["file", "file/below"])("%s, where a file is in the way", (name) => {
    writeFileSync(join(folder, "file"), "");
    expect(() => makeFolder(join(folder, name))).toThrow(WriteError);
    expect(() => makeFolder(join(folder, name))).toThrow("a part of the path is a file");
  });

  test.runIf(existsSync("/proc/self"))("ends where nothing can be made", () => {
    expect(() => makeFolder("/proc/nowhere/a/b")).toThrow(WriteError);
  });
});
