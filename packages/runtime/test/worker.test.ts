import { getEventListeners } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { DisposedError, ModelError } from "../src/errors.ts";
import { type Frame, ImageGenerator } from "../src/generator.ts";
import { WorkerGenerator } from "../src/worker/client.ts";
import type { Port, Reply, Request } from "../src/worker/protocol.ts";
import { serve } from "../src/worker/serve.ts";
import { exampleOf, someCondition, writeFolder } from "./support.ts";

// The two ends of a channel stand for page and worker: what goes through is copied alike.
const { port1, port2 } = new MessageChannel();
const worker = port1 as unknown as Port;
/** Listeners of a port, but for those that Node.js has itself. */
const listeners = ({ port1 }: InstanceType<typeof MessageChannel>) =>
  ["message", "error"].map((kind) => getEventListeners(port1 as unknown as EventTarget, kind).length);
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

test("has what it has without a worker", async () => {
  const [own, theirs] = [WorkerGenerator, ImageGenerator].map(({ prototype }) => Object.getOwnPropertyNames(prototype));
  expect(own).toEqual(expect.arrayContaining(theirs!.filter((name) => name !== "engine")));
  expect(remote.examples).toEqual(plain.examples);
  const wanted = { samples: 2, seed: 3 };
  expect(await remote.drawTokens([condition], wanted)).toEqual(await plain.drawTokens([condition], wanted));
});

test("streams the frames that it streams without a worker", async () => {
  const [own, theirs]: [Frame[], Frame[]] = [[], []];
  for await (const frame of remote.stream(condition, { seed: 2 })) own.push(frame);
  for await (const frame of plain.stream(condition, { seed: 2 })) theirs.push(frame);
  expect(own).toEqual(theirs);
});

test("streams what it was given, and many requests take one listener of their signal", async () => {
  const given = condition.slice();
  const frames = remote.stream(given);
  given.fill(0);
  const shown: Frame[] = [];
  for await (const frame of frames) shown.push(frame);
  expect(shown.at(-1)!.pixels).toEqual((await plain.draw([condition]))[0]![0]);
  const { signal } = new AbortController();
  const drawn = Array.from({ length: 12 }, () => remote.draw([condition], { signal }));
  expect(getEventListeners(signal, "abort")).toHaveLength(1);
  await Promise.all(drawn);
  expect(getEventListeners(signal, "abort")).toEqual([]);
});

test("where there are no workers as browsers have them, it says what to do", async () => {
  vi.stubGlobal("Worker", undefined); // ONNX Runtime makes one in Node.js.
  onTestFinished(() => void vi.unstubAllGlobals());
  await expect(WorkerGenerator.load(folder)).rejects.toThrow(/none here.*; hand in `worker`, or use ImageGenerator$/);
});

test("where its worker cannot be started, or its script not be loaded, it says so, and what to do", async () => {
  onTestFinished(() => void vi.unstubAllGlobals());
  vi.stubGlobal("Worker", function Forbidden() {
    throw new Error("another origin");
  });
  const remedy = 'hand in `worker`, as "Bundlers" in the README of @iqvae/runtime tells';
  await expect(WorkerGenerator.load(folder)).rejects.toThrow(`cannot be started (another origin); ${remedy}`);
  const nowhere = Object.assign(new EventTarget(), {
    terminate() {},
    postMessage: () => void nowhere.dispatchEvent(new Event("error")), // without a message, as browsers do
  });
  vi.stubGlobal("Worker", function Missing() {
    return nowhere;
  });
  await expect(WorkerGenerator.load(folder)).rejects.toThrow(
    `its script cannot be loaded, as where a bundler left it out or a content security policy forbids it; ${remedy}`,
  );
  expect(readFileSync(new URL("../README.md", import.meta.url), "utf8")).toContain("\n## Bundlers\n");
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

test("what onProgress throws ends a request, as it does without a worker", async () => {
  const onProgress = () => {
    throw new Error("a fault of the page");
  };
  const heard: string[] = [];
  const hear = ({ kind }: Request) => heard.push(kind);
  port2.on("message", hear);
  for (const generator of [plain, remote]) {
    await expect(generator.draw([condition], { onProgress })).rejects.toThrow("a fault of the page");
    await expect(generator.stream(condition, { onProgress }).next()).rejects.toThrow("a fault of the page");
  }
  port2.off("message", hear);
  // What was aborted before may be heard of late.
  const own = heard.slice(heard.indexOf("draw"));
  expect(own.slice(0, 3)).toEqual(["draw", "abort", "stream"]);
});

test("who leaves a stream leaves the worker free, which draws no more of it", async () => {
  let frames = 0;
  const count = ({ kind }: Reply) => {
    frames += Number(kind === "frame");
  };
  port1.on("message", count);
  const samples = 256; // which takes many times what the worker draws between two looks at its messages
  for await (const { share } of remote.stream(condition, { samples })) {
    expect(share).toBeLessThan(1);
    break;
  }
  expect(await remote.draw([condition])).toEqual(await plain.draw([condition]));
  port1.off("message", count);
  expect(frames).toBeLessThan(samples * plain.model.grids.image[0]);
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

test("a model that another took the place of draws nothing with it, and leaves it there", async () => {
  const { channel, generator: first } = await loadAlone();
  const load = () => WorkerGenerator.load(folder, { worker: channel.port1 as unknown as Port });
  const dispose = vi.spyOn(ImageGenerator.prototype, "dispose");
  const [second, third] = await Promise.all([load(), load()]);
  expect(new Set(dispose.mock.contexts).size).toBe(2);
  dispose.mockRestore();
  for (const displaced of [first, second]) {
    await expect(displaced.draw([condition])).rejects.toThrow(DisposedError);
    await expect(displaced.stream(condition).next()).rejects.toThrow("another model took the place of this one");
    await displaced.dispose();
  }
  expect(await third.draw([condition])).toEqual(await plain.draw([condition]));
  await third.dispose();
  channel.port1.close();
});

/** A generator at a channel of its own. */
async function loadAlone(): Promise<{ channel: InstanceType<typeof MessageChannel>; generator: WorkerGenerator }> {
  const channel = new MessageChannel();
  serve(channel.port2 as unknown as Port);
  channel.port2.start();
  return { channel, generator: await WorkerGenerator.load(folder, { worker: channel.port1 as unknown as Port }) };
}

/** How each of some promises ends, by its name, in the order in which they end; "never" for those that do not. */
async function endsOf(promises: Readonly<Record<string, Promise<unknown>>>): Promise<string[]> {
  const ends: string[] = [];
  const soon = AbortSignal.timeout(60_000);
  const all = Object.entries(promises).map(async ([name, promise]) => {
    const never = new Promise<string>((resolve) => {
      soon.addEventListener("abort", () => resolve("never"));
    });
    const end = promise.then(
      () => "done",
      (error: Error) => error.name,
    );
    ends.push(`${name}: ${await Promise.race([end, never])}`);
  });
  await Promise.all(all);
  return ends;
}

/** A worker of its own, which ends when it is told to. */
class OwnWorker {
  readonly #channel = new MessageChannel();

  constructor() {
    serve(this.#channel.port2 as unknown as Port);
    this.#channel.port2.start();
    this.#channel.port1.start();
  }

  postMessage(message: unknown): void {
    this.#channel.port1.postMessage(message);
  }

  addEventListener(kind: string, listener: (event: Event) => void): void {
    (this.#channel.port1 as unknown as EventTarget).addEventListener(kind, listener);
  }

  removeEventListener(kind: string, listener: (event: Event) => void): void {
    (this.#channel.port1 as unknown as EventTarget).removeEventListener(kind, listener);
  }

  terminate(): void {
    this.#channel.port2.close();
  }
}

test("what is asked before dispose is drawn, what is asked after it refused at once, and dispose does nothing twice", async () => {
  vi.stubGlobal("Worker", OwnWorker);
  const generator = await WorkerGenerator.load(folder);
  vi.unstubAllGlobals();
  const read = async () => {
    for await (const { pixels } of generator.stream(condition)) expect(pixels.length).toBeGreaterThan(0);
  };
  const ends = await endsOf({
    draw: generator.draw([condition]),
    stream: read(),
    "another draw": generator.draw([condition], { samples: 2 }),
    dispose: generator.dispose(),
    "another dispose": generator.dispose(),
    "draw after it": generator.draw([condition]),
    "stream after it": read(),
  });
  expect(ends.slice(0, 2).sort()).toEqual(["draw after it: DisposedError", "stream after it: DisposedError"]);
  expect(ends.slice(2, 5)).toEqual(["draw: done", "stream: done", "another draw: done"]);
  expect(ends.slice(5).sort()).toEqual(["another dispose: done", "dispose: done"]);
  expect(await endsOf({ draw: generator.draw([condition]) })).toEqual(["draw: DisposedError"]);
  expect(await endsOf({ dispose: generator.dispose() })).toEqual(["dispose: done"]);
});

test("what a worker leaves unanswered ends with dispose", async () => {
  const channel = new MessageChannel();
  channel.port2.on("message", ({ id, kind }: Request) => {
    const value = kind === "load" ? { model: plain.model, engine: "none" } : undefined;
    if (kind === "load" || kind === "dispose") channel.port2.postMessage({ id, kind: "done", value });
  });
  const generator = await WorkerGenerator.load(folder, { worker: channel.port1 as unknown as Port });
  const ends = await endsOf({ draw: generator.draw([condition]), dispose: generator.dispose() });
  expect(ends.sort()).toEqual(["dispose: done", "draw: DisposedError"]);
  channel.port1.close();
});

test("nothing waits for a worker that fails while it is disposed of", async () => {
  const { channel, generator } = await loadAlone();
  const failed = { draw: generator.draw([condition]), dispose: generator.dispose() };
  (channel.port1 as unknown as EventTarget).dispatchEvent(new Event("error"));
  expect((await endsOf(failed)).sort()).toEqual(["dispose: Error", "draw: Error"]);
  expect(await endsOf({ draw: generator.draw([condition]) })).toEqual(["draw: DisposedError"]);
  channel.port1.close();
});

test("a port that was handed in is left as it was, after dispose and after loading in vain", async () => {
  const { channel, generator } = await loadAlone();
  const before = [0, 0];
  expect(listeners(channel)).toEqual([1, 1]);
  await generator.dispose();
  expect(listeners(channel)).toEqual(before);
  const nothing = WorkerGenerator.load(join(folder, "nothing"), { worker: channel.port1 as unknown as Port });
  await expect(nothing).rejects.toThrow(ModelError);
  expect(listeners(channel)).toEqual(before);
  channel.port1.close();
});

test("a stream hears its signal where AbortSignal.any is missing, and leaves no listener behind", async () => {
  remote = await WorkerGenerator.load(folder, { worker }); // others took its place
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
