import { spawn } from "node:child_process";
import { once } from "node:events";
import fs, { readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { lockRun } from "../../src/run/lock.ts";
import { temporaryFolder } from "./support.ts";

type Holder = Record<"pid" | "host" | "boot" | "processes" | "started" | "since", unknown>;

/** A folder with a lock as this process would write it, but for `over`. */
function lockedBy(over: Partial<Holder> | string): { folder: string; path: string } {
  const folder = temporaryFolder();
  const path = join(folder, "lock.json");
  const unlock = lockRun(folder);
  const own = JSON.parse(readFileSync(path, "utf8")) as Holder;
  unlock();
  writeFileSync(path, typeof over === "string" ? over : JSON.stringify({ ...own, ...over }));
  return { folder, path };
}

/** No process has this number: it is above what Linux gives. */
const GONE = 2 ** 22 + 1;

/** What Linux says of a process: its number, its name in brackets, its state, and more. */
const stat = (pid: number): string => readFileSync(`/proc/${pid}/stat`, "utf8");

test("a lock is there while it is held, names who holds it, and is gone afterward", () => {
  const folder = temporaryFolder();
  const unlock = lockRun(folder);
  expect(JSON.parse(readFileSync(join(folder, "lock.json"), "utf8"))).toMatchObject({ pid: process.pid });
  expect(() => lockRun(folder)).toThrow(`is being trained by process ${process.pid} since `);
  unlock();
  expect(readdirSync(folder)).toEqual([]);
});

describe("a lock is respected", () => {
  test.each<[string, Partial<Holder>, string]>([
    ["of another host, whatever runs here", { host: "elsewhere", pid: GONE }, "process 4194305 of elsewhere since"],
    // In a container the first process is number 1, as it is here in the next one.
    ["of another container on this host with the same process number", { processes: "pid:[1]" }, "of "],
    ["of a process that lives", {}, `(process.pid)`],
  ])("%s", (_, over, named) => {
    const { folder, path } = lockedBy(over);
    const before = readFileSync(path, "utf8");
    expect(() => lockRun(folder)).toThrow(named === "(process.pid)" ? `by process ${process.pid} since` : named);
    expect(() => lockRun(folder)).toThrow(`delete ${path}`);
    expect(readFileSync(path, "utf8")).toBe(before);
    rmSync(path);
    lockRun(folder)();
  });

  test("that is just being written", () => {
    const { folder, path } = lockedBy("");
    expect(() => lockRun(folder)).toThrow(/Another process has just begun to train .* delete .*lock\.json/);
    expect(readFileSync(path, "utf8")).toBe("");
  });
});

describe("a stale lock is taken over", () => {
  test.runIf(process.platform === "linux")(
    "of a process that has ended, and whose parent has not asked yet",
    async () => {
      // The shell becomes a program that does not ask, and only then does its child end: shells do ask, at times of their own.
      const script = "cat <&3 >/dev/null & echo $!; exec sleep 600";
      const parent = spawn("sh", ["-c", script], { stdio: ["ignore", "pipe", "ignore", "pipe"] });
      onTestFinished(() => void parent.kill());
      const [said] = (await once(parent.stdout!, "data")) as [Buffer];
      const pid = Number(said.toString());
      await vi.waitFor(() => expect(stat(parent.pid!)).toContain("(sleep) "), { timeout: 60_000 });
      (parent.stdio[3] as Writable).end();
      await vi.waitFor(() => expect(stat(pid)).toContain(") Z "), { timeout: 60_000 });
      lockRun(lockedBy({ pid, started: "" }).folder)();
    },
  );

  test.each<[string, Partial<Holder>]>([
    ["of a process that is gone", { pid: GONE }],
    ["whose process number another process has by now", { started: "1" }],
    ["from before the machine was started anew", { boot: "another", processes: "pid:[1]" }],
  ])("%s", (_, over) => {
    const { folder, path } = lockedBy(over);
    const unlock = lockRun(folder);
    expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({ pid: process.pid });
    unlock();
    expect(readdirSync(folder)).toEqual([]);
  });

  test("that was left half written", () => {
    const { folder, path } = lockedBy('{ "pid": 1');
    utimesSync(path, new Date(0), new Date(0));
    lockRun(folder)();
    expect(readdirSync(folder)).toEqual([]);
  });
});

test("what another process locked since is neither taken over nor taken away", () => {
  const { folder, path } = lockedBy({ pid: GONE });
  const { path: other } = lockedBy({ host: "elsewhere" });
  const { renameSync } = fs;
  let between = true;
  // Just before the stale lock is taken away, somebody else has done so and made his own.
  fs.renameSync = ((from, to) => {
    if (between) writeFileSync(path, readFileSync(other));
    between = false;
    renameSync(from, to);
  }) as typeof renameSync;
  syncBuiltinESMExports();
  try {
    expect(() => lockRun(folder)).toThrow("of elsewhere since");
  } finally {
    fs.renameSync = renameSync;
    syncBuiltinESMExports();
  }
  expect(readFileSync(path, "utf8")).toBe(readFileSync(other, "utf8"));
  expect(readdirSync(folder)).toEqual(["lock.json"]);

  rmSync(path);
  const unlock = lockRun(folder);
  writeFileSync(path, "of another");
  unlock();
  expect(readFileSync(path, "utf8")).toBe("of another");
});
