import type { Frame, ImageOptions, WorkerGenerator } from "@iqvae/runtime";
import { expect, onTestFinished, test, vi } from "vitest";
import { Drawer, type Wish } from "../src/drawing/drawer.ts";
import { anotherSeed, readSettings } from "../src/drawing/settings.ts";
import { FRESH, fitting, partsOf, type Source } from "../src/drawing/source.ts";

const SETTINGS = { seed: 4, locked: true, samples: 3, temperature: 0.9, topP: 0.95, guidance: 1 };
const wish = (byte: number, source: Source = FRESH): Wish => ({
  condition: Uint8Array.of(byte),
  settings: SETTINGS,
  source,
});

/** A generator whose answers come when the test says so; an abort ends a request at once, as that of the worker does. */
function generator() {
  const asked: { condition: number; options: ImageOptions; answer: () => void }[] = [];
  const wait = ([condition]: Uint8Array, options: ImageOptions) =>
    new Promise<void>((answer, reject) => {
      options.signal!.addEventListener("abort", () => reject(options.signal!.reason));
      asked.push({ condition: condition!, options, answer });
    });
  const pixels = (condition: Uint8Array) => Uint8Array.of(condition[0]!, 0, 0);
  const engine: Pick<WorkerGenerator, "draw" | "stream"> = {
    async draw([condition], options = {}) {
      await wait(condition!, options);
      return [[pixels(condition!)]];
    },
    async *stream(condition, options = {}) {
      await wait(condition, options);
      for (let sample = 0; sample < options.samples!; sample++)
        yield { sample, pixels: pixels(condition), tokens: new Int32Array(1), share: 1 } satisfies Frame;
    },
  };
  return { asked, engine };
}

function watched(engine: Pick<WorkerGenerator, "draw" | "stream">) {
  const shown: [place: number, condition: number][] = [];
  const watcher = {
    frame: (place: number, { pixels }: { pixels: Uint8Array }) => shown.push([place, pixels[0]!]),
    begun: vi.fn(),
    done: vi.fn(),
    failed: vi.fn(),
  };
  return { drawer: new Drawer(engine, watcher), shown, watcher };
}

const settle = () => new Promise((resolve) => setTimeout(resolve));

test("the picture that is looked at comes first, then the others in their places", async () => {
  const { asked, engine } = generator();
  const { drawer, shown, watcher } = watched(engine);
  drawer.draw(wish(1), 1);
  for (let part = 0; part < 3; part++) {
    await settle();
    asked[part]!.answer();
  }
  await settle();
  expect(shown).toEqual([
    [1, 1],
    [0, 1],
    [2, 1],
  ]);
  expect(asked.map(({ options }) => [options.firstSample, options.samples, options.seed])).toEqual([
    [1, 1, 4],
    [0, 1, 4],
    [2, 1, 4],
  ]);
  expect(watcher.done).toHaveBeenCalledTimes(1);
});

test("a newer wish drops the older one, which is no failure and shows nothing more", async () => {
  const { asked, engine } = generator();
  const { drawer, shown, watcher } = watched(engine);
  drawer.draw(wish(1), 0);
  drawer.draw(wish(2), 0);
  await settle();
  expect(asked[0]!.options.signal!.aborted).toBe(true);
  asked[0]!.answer();
  for (let part = 1; part < 3; part++) {
    asked[part]!.answer();
    await settle();
  }
  expect(shown).toEqual([
    [0, 2],
    [1, 2],
    [2, 2],
  ]);
  expect([watcher.done.mock.calls.length, watcher.failed.mock.calls.length]).toEqual([1, 0]);
});

test("of changes that come while one is drawn the newest alone is drawn next", async () => {
  const { asked, engine } = generator();
  const { drawer, shown } = watched(engine);
  for (const byte of [1, 2, 3, 4]) drawer.preview(wish(byte), 2);
  await settle();
  asked[0]!.answer();
  await settle();
  asked[1]!.answer();
  await settle();
  expect(shown).toEqual([
    [2, 1],
    [2, 4],
  ]);
  expect(asked).toHaveLength(2);
});

test("the end of a stroke drops what was drawn of it on the way, and another stroke what was drawn of it", async () => {
  const { asked, engine } = generator();
  const { drawer, shown, watcher } = watched(engine);
  drawer.preview(wish(1), 0);
  drawer.preview(wish(2), 0);
  drawer.draw(wish(3), 0);
  drawer.preview(wish(4), 0);
  await settle();
  expect(asked.map(({ condition, options }) => [condition, options.signal!.aborted])).toEqual([
    [1, true],
    [3, true],
    [4, false],
  ]);
  drawer.preview(wish(5), 0);
  for (let part = 2; part < 4; part++) {
    asked[part]!.answer();
    await settle();
  }
  expect(shown).toEqual([
    [0, 4],
    [0, 5],
  ]);
  expect(watcher.failed).not.toHaveBeenCalled();
});

test("what is stopped is drawn no further, which is no failure", async () => {
  const { asked, engine } = generator();
  const { drawer, shown, watcher } = watched(engine);
  for (const begin of [() => drawer.draw(wish(1), 0), () => drawer.preview(wish(2), 0)]) {
    begin();
    drawer.stop();
    await settle();
    expect(asked.at(-1)!.options.signal!.aborted).toBe(true);
    asked.at(-1)!.answer();
    await settle();
  }
  expect(asked).toHaveLength(2);
  expect([shown, watcher.done.mock.calls, watcher.failed.mock.calls]).toEqual([[], [], []]);
});

test("what goes wrong is told", async () => {
  const { drawer, watcher } = watched({ ...generator().engine, draw: () => Promise.reject(new RangeError("no")) });
  drawer.preview(wish(1), 0);
  await settle();
  expect(watcher.failed).toHaveBeenCalledWith(new RangeError("no"));
});

test("pictures like one have its noise at first, and others beside it after that", () => {
  const source = { kind: "like", seed: 9, sample: 5, distance: 0.2 } as const;
  const parts = partsOf(source, SETTINGS, 1);
  expect(parts.map(({ from, options }) => [from, options.seed, options.firstSample, options.noise])).toEqual([
    [1, 9, 5, { kind: "between", to: 5, share: 0.2 }],
    [0, 9, 5, { kind: "between", to: 4, share: 0 }],
    [2, 9, 5, { kind: "between", to: 6, share: 0.2 }],
  ]);
});

const model = (unconditional: boolean) => ({
  sampling: { temperature: 1, topK: null, topP: 1, guidance: 1 },
  transformer: { layers: 1, width: 8, heads: 1, unconditional },
});

test("guidance from a link is taken by models that can be guided, and by no other", () => {
  const guidanceOf = (unconditional: boolean) => readSettings({ guidance: 2 }, model(unconditional)).guidance;
  expect([guidanceOf(true), guidanceOf(false)]).toEqual([2, 1]);
});

test("of a link that asks for what the page has no fields for, each setting is that of the model", () => {
  const defaults = readSettings(undefined, model(true));
  expect(readSettings({ ...SETTINGS, locked: false }, model(true))).toEqual({ ...SETTINGS, locked: false });
  for (const [name, values] of Object.entries({
    seed: [-1, 1.5, 100_000_000, "many", null],
    locked: ["no", 0],
    samples: [0, 25, 1e9, 2.5],
    temperature: [0, -1, 2.1, Number.NaN],
    topP: [0, 1.01],
    guidance: [-1, 10.5],
  }))
    for (const value of values) expect(readSettings({ [name]: value }, model(true)), name).toEqual(defaults);
});

test("another seed is never the same one, and is one of five digits", () => {
  const random = vi.spyOn(Math, "random");
  onTestFinished(() => random.mockRestore());
  const after = (seed: number, share: number) => {
    random.mockReturnValue(share);
    return anotherSeed(seed);
  };
  const share = 41.5 / 99_998; // of 1 … 99 998 the 42nd
  expect([41, 42, 43].map((seed) => after(seed, share))).toEqual([43, 43, 42]);
  expect([after(1, 0), after(7, 0), after(7, 1 - 2 ** -53), after(99_999, 1 - 2 ** -53)]).toEqual([
    2, 1, 99_999, 99_998,
  ]);
});

test("a part is redrawn of whole pictures of the model's grid and codes, and of no others", () => {
  const shape = { channels: 8, multipliers: [1], blocks: 1, patch: 1, codes: 5, codeDim: 4 } as const;
  const model = {
    grids: { condition: [1, 2], image: [1, 2] },
    autoencoders: { condition: shape, image: shape },
  } as const;
  const fits = (fixed: number[], base: number[]) => {
    const source = { kind: "redraw", fixed: Int32Array.from(fixed), base: Int32Array.from(base) } as const;
    return fitting(source, model) === source;
  };
  expect(fits([-1, 4], [0, 4])).toBe(true);
  expect([fits([-1, 4], [-1, 4]), fits([-2, 4], [0, 4]), fits([1, 5], [1, 4]), fits([1], [1])]).toEqual(
    Array(4).fill(false),
  );
});
