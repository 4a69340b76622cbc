import { getEventListeners } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DisposedError, ModelError } from "../src/errors.ts";
import { type Frame, ImageGenerator } from "../src/generator.ts";
import { WorkerGenerator } from "../src/worker/client.ts";
import type { Port } from "../src/worker/protocol.ts";
import { serve } from "../src/worker/serve.ts";
import { exampleOf, someCondition, writeFolder } from "./support.ts";

// The two ends of a channel stand for page and worker: what goes through is copied alike.
const { port1, port2 } = new MessageChannel();
const worker = port1 as unknown as Port;
let folder: string;
let plain: ImageGenerator;
let remote: WorkerGenerator;
let condition: Uint8Array;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "worker-"));
  const example = await exampleOf("tiny");
  writeFolder(folder, example.files);
  condition = someCondition(example, 1);
  serve(port2 as unknown as Port);
  port2.start();
  plain = await ImageGenerator.load(folder);
  remote = await WorkerGenerator.load(folder, { worker });
});
afterAll(() => {
  port1.close();
  rmSync(folder, { recursive: true });
});

test("tells of the model, and draws what it draws without a worker", async () => {
  expect(remote.model).toEqual(plain.model);
  expect(remote.engine).toBe(plain.engine);
  const shares: number[] = [];
  const images = await remote.draw([condition], { samples: 2, seed: 3, onProgress: (share) => shares.push(share) });
  expect(images).toEqual(await plain.draw([condition], { samples: 2, seed: 3 }));
  expect(shares).toHaveLength(16);
});

test("streams the frames that it streams without a worker", async () => {
  const [own, theirs]: [Frame[], Frame[]] = [[], []];
  for await (const frame of remote.stream(condition, { seed: 2 })) own.push(frame);
  for await (const frame of plain.stream(condition, { seed: 2 })) theirs.push(frame);
  expect(own).toEqual(theirs);
});

test("an abort ends a request, and no other", async () => {
  const control = new AbortController();
  const other = remote.draw([condition]);
  const onProgress = () => control.abort(new Error("a newer stroke"));
  await expect(remote.draw([condition], { samples: 8, signal: control.signal, onProgress })).rejects.toThrow(
    "a newer stroke",
  );
  expect(await other).toEqual(await plain.draw([condition]));
});

test("who leaves a stream leaves the worker free", async () => {
  for await (const { share } of remote.stream(condition)) {
    expect(share).toBeLessThan(1);
    break;
  }
  expect(await remote.draw([condition])).toEqual(await plain.draw([condition]));
});

test("errors keep their classes on the way", async () => {
  await expect(remote.draw([condition], { topP: 3 })).rejects.toThrow(RangeError);
  await expect(remote.draw([new Uint8Array(1)])).rejects.toThrow('a condition of kind "semantic"');
  const failed = WorkerGenerator.load(join(folder, "nothing"), { worker });
  await expect(failed).rejects.toThrow(ModelError);
  await expect(failed).rejects.toMatchObject({ problem: "missing", file: join(folder, "nothing", "model.json") });
});

test("after dispose it says so, and takes another model", async () => {
  const other = await WorkerGenerator.load(folder, { worker });
  await other.dispose();
  await expect(other.draw([condition])).rejects.toThrow(DisposedError);
  const again = await WorkerGenerator.load(folder, { worker });
  expect(await again.draw([condition])).toEqual(await plain.draw([condition]));
});

test("a stream hears its signal where AbortSignal.any is missing, and leaves no listener behind", async () => {
  const { any } = AbortSignal;
  Object.assign(AbortSignal, { any: undefined });
  try {
    const control = new AbortController();
    const { signal } = control;
    const shares: number[] = [];
    for await (const { share } of remote.stream(condition, { signal })) shares.push(share);
    expect(shares.at(-1)).toBe(1);
    expect(getEventListeners(signal, "abort")).toEqual([]);
    const aborted = async (given: AbortSignal) => {
      for await (const _ of remote.stream(condition, { signal: given })) control.abort(new Error("a newer stroke"));
    };
    await expect(aborted(signal)).rejects.toThrow("a newer stroke");
    await expect(aborted(AbortSignal.abort(new Error("too late")))).rejects.toThrow("too late");
  } finally {
    Object.assign(AbortSignal, { any });
  }
  expect(await remote.draw([condition])).toEqual(await plain.draw([condition]));
});
