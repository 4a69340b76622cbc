import { existsSync, mkdtempSync, readdirSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { replaceFile } from "@iqvae/torch";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { mountSmallDisk, unmount } from "../../../torch/test/small-disk.ts";
import { listCheckpoints, readCheckpoint } from "../../src/run/checkpoint.ts";
import { lockRun } from "../../src/run/lock.ts";
import { MetricsLog, readMetrics } from "../../src/run/metrics-log.ts";
import { createRun, openRun } from "../../src/run/run-folder.ts";
import { EventLog } from "../../src/run/tensorboard/event-log.ts";
import { bits, STEPS, tampered, temporaryFolder, tinyConfig, trainTiny } from "./support.ts";
import type { TinyTrainer } from "./tiny-trainer.mjs";

/** When set, writing to files fails with this code, after a few bytes; to those only that a pattern names, if there is one. */
const fault = vi.hoisted(() => ({ code: undefined as string | undefined, only: undefined as RegExp | undefined }));

vi.mock("node:fs", async (original) => {
  const fs = await original<typeof import("node:fs")>();
  const pathOf = (file: unknown) =>
    typeof file === "number" ? fs.readlinkSync(`/proc/self/fd/${file}`) : String(file);
  const failing =
    <A extends unknown[], R>(write: (...args: A) => R) =>
    (...args: A): R => {
      if (fault.code === undefined || (fault.only && !fault.only.test(pathOf(args[0])))) return write(...args);
      if (typeof args[1] === "string" || args[1] instanceof Uint8Array) {
        write(...(args.with(1, args[1].slice(0, 5)) as A));
      }
      throw Object.assign(new Error(`${fault.code}: injected`), { code: fault.code, syscall: "write" });
    };
  return {
    ...fs,
    writeSync: failing(fs.writeSync as (...args: unknown[]) => number),
    writeFileSync: failing(fs.writeFileSync as (...args: unknown[]) => void),
  };
});

afterEach(() => {
  fault.code = undefined;
  fault.only = undefined;
});

describe.each([
  ["ENOSPC", /the disk is full/],
  ["EROFS", /read-only disk/],
  ["EACCES", /permissions do not allow/],
])("when writing fails with %s", (code, reason) => {
  test("a training stops, names the last good checkpoint, leaves no half file, and goes on to the same bits", async () => {
    const whole = join(temporaryFolder(), "whole");
    await trainTiny(whole);
    const path = join(temporaryFolder(), "run");
    const wrap = (plain: TinyTrainer) =>
      tampered(plain, (step) => {
        // Between the checkpoints of steps 12 and 18; the log writes a line at step 15.
        if (step === 14) fault.code = code;
        return undefined;
      });
    const failure = await trainTiny(path, { wrap }).catch((error: Error) => error);
    fault.code = undefined;
    const checkpoints = join(path, "checkpoints");
    expect(String(failure)).toMatch(reason);
    expect(String(failure)).toContain("Training of stage1 stopped at step 15: ");
    expect(String(failure)).toContain(`The last good checkpoint is ${checkpoints}/stage1-00000012.json, of step 12;`);
    expect(String(failure)).toContain(`Then go on from it: npx iqvae resume ${path}`);
    expect(readdirSync(checkpoints).filter((name) => name.endsWith(".part"))).toEqual([]);
    expect(readMetrics(join(path, "metrics.jsonl")).at(-1)?.step).toBe(12);
    await trainTiny(path);
    expect(bits(path)).toEqual(bits(whole));
  });

  test("a file stays as it was", () => {
    const path = join(temporaryFolder(), "file.txt");
    replaceFile(path, "old");
    fault.code = code;
    expect(() => replaceFile(path, "new and longer")).toThrow(reason);
    expect(() => replaceFile(path, "new and longer")).toThrow(`Could not write ${path}: `);
    fault.code = undefined;
    expect(statSync(path).size).toBe(3);
    expect(readdirSync(join(path, ".."))).toEqual(["file.txt"]);
  });

  test("no empty lock is left, which would be taken for that of a process that has just begun", () => {
    const folder = temporaryFolder();
    fault.code = code;
    expect(() => lockRun(folder)).toThrow(reason);
    fault.code = undefined;
    lockRun(folder)();
    expect(readdirSync(folder)).toEqual([]);
  });

  test("a line of the log is taken back whole", () => {
    const log = new MetricsLog(join(temporaryFolder(), "metrics.jsonl"));
    log.append({ stage: "stage1", step: 1, split: "train", loss: 1 });
    const { size } = statSync(log.path);
    fault.code = code;
    expect(() => log.append({ stage: "stage1", step: 2, split: "train", loss: 1 })).toThrow(reason);
    expect(statSync(log.path).size).toBe(size);
  });
});

describe.each([
  ["the log", /metrics\.jsonl$/],
  ["TensorBoard's events", /tfevents/],
])("when the disk of %s alone is full", (_, only) => {
  test.each([
    [15, "a line of losses"],
    [16, "held-out figures"],
    [STEPS, "the last step"],
  ])("the checkpoint of step %i (%s) is saved, and the run goes on to the same bits and the same log", async (at) => {
    const train = async (path: string, stop?: number) => {
      const run = existsSync(path) ? openRun(path) : createRun(path, tinyConfig);
      const events = new EventLog(run.tensorboard);
      run.log.mirror(events);
      const wrap = (plain: TinyTrainer) =>
        tampered(plain, (step) => {
          if (step === stop) Object.assign(fault, { code: "ENOSPC", only });
          return undefined;
        });
      try {
        return await trainTiny(path, { run, wrap });
      } finally {
        events.close();
      }
    };
    const whole = join(temporaryFolder(), "whole");
    await train(whole);
    const path = join(temporaryFolder(), "run");
    const failure = String(await train(path, at).catch((error: Error) => error));
    fault.code = undefined;
    expect(failure).toMatch(
      only.source.includes("jsonl") ? /metrics\.jsonl: the disk is full/ : /tfevents.*: the disk is full/,
    );
    expect(failure).toContain(`of step ${at}. Then go on from it`);
    expect(listCheckpoints(join(path, "checkpoints"), "stage1")[0]?.step).toBe(at);
    // Killed before its next checkpoint, it must not write those lines twice.
    await train(path, at + 1).catch(() => {});
    fault.code = undefined;
    await train(path);
    expect(bits(path)).toEqual(bits(whole));
  });
});

/** Mounting needs root; the injected faults above stand in where it is not allowed. */
const probe = mkdtempSync(join(tmpdir(), "iqvae-"));
const mountable = mountSmallDisk(probe).status === 0;
if (mountable) unmount(probe);
rmdirSync(probe);

describe.skipIf(!mountable)("on a disk that is really full", () => {
  let disk: string;
  beforeEach(() => {
    disk = temporaryFolder();
    mountSmallDisk(disk);
  });
  afterEach(() => unmount(disk));

  test("a training stops, keeps its checkpoints whole, and goes on when there is room again", async () => {
    const whole = join(temporaryFolder(), "whole");
    await trainTiny(whole);
    const path = join(disk, "run");
    const filler = join(disk, "filler");
    const wrap = (plain: TinyTrainer) =>
      tampered(plain, (step) => {
        if (step === 14) fill(filler);
        return undefined;
      });
    await expect(trainTiny(path, { wrap })).rejects.toThrow(/the disk is full/);
    const [newest] = listCheckpoints(join(path, "checkpoints"), "stage1");
    expect(readCheckpoint(newest!.path).step).toBeGreaterThanOrEqual(12);
    rmSync(filler);
    await trainTiny(path);
    expect(bits(path)).toEqual(bits(whole));
  });

  /** Writes until nothing more fits. */
  function fill(path: string): void {
    for (let size = 1 << 20; size >= 1; size >>= 1) {
      try {
        for (;;) writeFileSync(path, Buffer.alloc(size), { flag: "a" });
      } catch {}
    }
  }
});
