import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Drawer, DrawerError } from "../../src/serve/drawer/drawer.ts";
import type { Mailbox } from "../../src/serve/mailbox.ts";
import { type Job, Queue, QueueFull, type QueueMeter } from "../../src/serve/queue.ts";
import { HeldDrawer } from "./support.ts";

const SAMPLING = { seed: 0, temperature: 1, topP: 1, guidance: 1 };
const meter = { batch: vi.fn(), dropped: vi.fn(), lost: vi.fn() } satisfies QueueMeter;
let drawer: HeldDrawer;
let queue: Queue;
const never = new AbortController().signal;

const job = (samples: number, rest: Partial<Job> = {}): Job => ({
  model: "start",
  condition: new Uint8Array(1),
  sampling: SAMPLING,
  firstSample: 0,
  samples,
  frames: false,
  ...rest,
});
const samplesOf = async (mailbox: Mailbox) => {
  const samples: number[] = [];
  for await (const event of mailbox) if (event.kind === "image") samples.push(event.sample);
  return samples;
};
const open = (drawers: Drawer[], limits = { queue: 20, batch: 4, seconds: 60 }) =>
  Queue.open(async () => drawers.shift()!, drawers.length, limits, meter);
/** Of the parts of a batch: first sample and count. */
const shape = (parts: readonly { first: number; count: number }[]) => parts.map(({ first, count }) => [first, count]);

beforeEach(async () => {
  vi.clearAllMocks();
  drawer = new HeldDrawer();
  queue = await open([drawer]);
});
afterEach(() => queue.close());

test("what waits for one model is drawn together, one image of each in turn until the batch is full", async () => {
  const first = queue.take(job(1), never);
  const many = queue.take(job(7, { firstSample: 10 }), never);
  const other = queue.take(job(1, { model: "other" }), never);
  const few = queue.take(job(1), never);
  expect(queue.load).toEqual({ waiting: 9, drawing: 1 });
  (await drawer.batch(0)).finish();
  expect(await samplesOf(first)).toEqual([0]);

  // Who wants one is not kept waiting by who wants seven.
  const second = await drawer.batch(1);
  expect([second.model, shape(second.parts)]).toEqual([
    "start",
    [
      [10, 3],
      [0, 1],
    ],
  ]);
  second.finish();
  expect(await samplesOf(few)).toEqual([0]);

  // Now the other model has waited longest.
  const third = await drawer.batch(2);
  expect([third.model, shape(third.parts)]).toEqual(["other", [[0, 1]]]);
  third.finish();
  expect(await samplesOf(other)).toEqual([0]);
  const last = await drawer.batch(3);
  expect(shape(last.parts)).toEqual([[13, 4]]);
  last.finish();
  expect(await samplesOf(many)).toEqual([10, 11, 12, 13, 14, 15, 16]);
  expect(meter.batch.mock.calls.map(([model, images]) => [model, images])).toEqual([
    ["start", 1],
    ["start", 4],
    ["other", 1],
    ["start", 4],
  ]);
});

test("when the queue is full it says when to come back; a request larger than it is taken when nothing waits", async () => {
  queue.take(job(1), never);
  queue.take(job(30), never);
  const attempt = () => queue.take(job(1), never);
  expect(attempt).toThrow(QueueFull);
  expect(attempt).toThrow(/^30 images wait already, and there is room for 20: too many for 1 more/);
  try {
    attempt();
  } catch (error) {
    expect((error as QueueFull).retryAfter).toBe(2); // half of the time that 31 take, a tenth of a second each
  }
});

test("as many wait as there is room for", async () => {
  for (const count of [1, 12, 8]) queue.take(job(count), never);
  expect(() => queue.take(job(1), never)).toThrow(/^20 images wait already, and there is room for 20/);
});

test("nothing is taken that would not be drawn in time", async () => {
  const slow = await open([drawer], { queue: 1000, batch: 4, seconds: 2 });
  slow.take(job(1), never);
  slow.take(job(19), never); // a tenth of a second each, as long as nothing is known
  expect(() => slow.take(job(1), never)).toThrow(/^19 images wait already, and they take about 2 of the 2 seconds/);
  slow.close();
});

test("what is drawn in time is told by the images that were drawn, and by how many draw", async () => {
  const limits = { queue: 1000, batch: 4, seconds: 2 };
  const clock = vi.spyOn(performance, "now").mockReturnValue(0);
  const slow = await open([drawer], limits);
  const done = slow.take(job(4), never);
  clock.mockReturnValue(8000); // 2 s an image, a fifth of the news: 0.48
  (await drawer.batch(0)).finish();
  await samplesOf(done);
  clock.mockRestore();
  slow.take(job(1), never);
  slow.take(job(2), never);
  slow.take(job(1), never);
  expect(() => slow.take(job(1), never)).toThrow(/^3 images wait already, and they take about 2 of the 2 seconds/);
  slow.close();

  const two = await open([new HeldDrawer(), new HeldDrawer()], limits);
  for (const count of [1, 1, 19, 15]) two.take(job(count), never);
  expect(() => two.take(job(5), never)).toThrow(QueueFull);
  two.close();
});

test("images that nobody waited for are not counted as drawn, and tell nothing of how long one takes", async () => {
  const slow = await open([drawer], { queue: 1000, batch: 4, seconds: 2 });
  for (let i = 0; i < 10; i++) {
    const control = new AbortController();
    slow.take(job(4), control.signal);
    const batch = await drawer.batch(i);
    control.abort(new Error("hung up"));
    batch.finish();
    await slow.drain();
  }
  expect(new Set(meter.batch.mock.calls.map(([model, images]) => `${model} ${images}`))).toEqual(new Set(["start 0"]));
  for (const count of [1, 19]) slow.take(job(count), never);
  expect(() => slow.take(job(1), never)).toThrow(QueueFull); // a tenth of a second each, as if nothing had been drawn
  slow.close();
});

test("what is aborted while it waits is never drawn", async () => {
  queue.take(job(1), never);
  const control = new AbortController();
  const mailbox = queue.take(job(5), control.signal);
  control.abort(new Error("hung up"));
  await expect(samplesOf(mailbox)).rejects.toThrow("hung up");
  expect(queue.load).toEqual({ waiting: 0, drawing: 1 });
  expect(meter.dropped.mock.calls).toEqual([["start", 5]]);
  expect(() => queue.take(job(1), control.signal)).toThrow("hung up");
});

test("what is aborted while it is drawn is dropped from its batch, and the others get theirs", async () => {
  queue.take(job(1), never);
  const control = new AbortController();
  const stays = queue.take(job(1), never);
  const leaves = queue.take(job(2), control.signal);
  (await drawer.batch(0)).finish();
  const batch = await drawer.batch(1);
  control.abort(new Error("hung up"));
  expect([...batch.dropped]).toEqual([1]);
  batch.finish();
  expect(await samplesOf(stays)).toEqual([0]);
  await expect(samplesOf(leaves)).rejects.toThrow("hung up");
  expect(meter.dropped.mock.calls).toEqual([["start", 2]]);
});

test("progress is that of the whole request; frames go to whom they belong", async () => {
  queue.take(job(1), never);
  const mailbox = queue.take(job(8, { frames: true }), never);
  (await drawer.batch(0)).finish();
  const batch = await drawer.batch(1);
  const events = mailbox[Symbol.asyncIterator]();
  batch.events.onProgress(0.5);
  expect((await events.next()).value).toEqual({ kind: "progress", share: 0.25 });
  const pixels = new Uint8Array(3);
  batch.events.onFrame(0, 0.5, { sample: 2, pixels });
  expect((await events.next()).value).toEqual({ kind: "frame", share: 0.5, sample: 2, pixels });
  batch.finish();
  const again = await drawer.batch(2);
  for (let i = 0; i < 4; i++) expect((await events.next()).value).toMatchObject({ kind: "image", sample: i });
  again.events.onProgress(0.5);
  expect((await events.next()).value).toEqual({ kind: "progress", share: 0.75 });
  again.finish();
});

test("what the model refuses ends that request only", async () => {
  queue.take(job(1), never);
  const refused = queue.take(job(1, { sampling: { ...SAMPLING, temperature: 13 } }), never);
  const fine = queue.take(job(1), never);
  (await drawer.batch(0)).finish();
  (await drawer.batch(1)).finish();
  await expect(samplesOf(refused)).rejects.toThrow(RangeError);
  expect(await samplesOf(fine)).toEqual([0]);
});

test("images of a drawer that was lost are asked for once more, and no image twice", async () => {
  const mailbox = queue.take(job(6), never);
  (await drawer.batch(0)).finish();
  (await drawer.batch(1)).fail(new DrawerError("killed"));
  const again = await drawer.batch(2);
  expect(shape(again.parts)).toEqual([[4, 2]]);
  again.finish();
  expect(await samplesOf(mailbox)).toEqual([0, 1, 2, 3, 4, 5]);

  const unlucky = queue.take(job(1), never);
  (await drawer.batch(3)).fail(new DrawerError("killed"));
  (await drawer.batch(4)).fail(new DrawerError("killed again"));
  await expect(samplesOf(unlucky)).rejects.toThrow("killed again");
  expect(queue.load).toEqual({ waiting: 0, drawing: 0 });
});

test("another drawer takes the place of one that ended", async () => {
  const next = new HeldDrawer();
  const drawers = [new HeldDrawer(), next];
  let lose = (_: string) => {};
  const own = await Queue.open(
    async (onLost) => {
      lose = onLost;
      return drawers.shift()!;
    },
    1,
    { queue: 9, batch: 4, seconds: 60 },
    meter,
  );
  lose("it ended with SIGKILL");
  expect(own.ready).toBe(false);
  expect(meter.lost.mock.calls).toEqual([["it ended with SIGKILL"]]);
  const mailbox = own.take(job(1), never);
  (await next.batch(0)).finish();
  expect(await samplesOf(mailbox)).toEqual([0]);
  own.close();
  expect(next.ended).toBe(true);
});

test("several drawers draw at once", async () => {
  const [a, b] = [new HeldDrawer(), new HeldDrawer()];
  const own = await open([a, b], { queue: 20, batch: 2, seconds: 60 });
  const mailbox = own.take(job(4), never);
  const [one, two] = [await a.batch(0), await b.batch(0)];
  expect([shape(one.parts), shape(two.parts)]).toEqual([[[0, 2]], [[2, 2]]]);
  one.events.onProgress(0.5);
  two.events.onProgress(0.5);
  const event = await mailbox[Symbol.asyncIterator]().next();
  expect(event.value).toEqual({ kind: "progress", share: 0.5 });
  two.finish();
  one.finish();
  expect((await samplesOf(mailbox)).sort()).toEqual([0, 1, 2, 3]);
  own.close();
});

test("drain waits for what was accepted", async () => {
  const mailbox = queue.take(job(5), never);
  let drained = false;
  const draining = queue.drain().then(() => {
    drained = true;
  });
  (await drawer.batch(0)).finish();
  const last = await drawer.batch(1);
  expect(drained).toBe(false);
  last.finish();
  await draining;
  expect(await samplesOf(mailbox)).toHaveLength(5);
});

test("what is left when the queue is closed is told so", async () => {
  queue.take(job(4), never);
  const waiting = queue.take(job(1), never);
  queue.close();
  await expect(samplesOf(waiting)).rejects.toThrow(DrawerError);
});
