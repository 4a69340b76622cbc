import { type Frame, ImageGenerator } from "@iqvae/runtime";
import { beforeAll, expect, test } from "vitest";
import { type BatchEvents, drawBatch, type LoadedModel } from "../../src/serve/drawer/batch.ts";
import { loadModel } from "../../src/serve/drawer/load.ts";
import type { Part } from "../../src/serve/drawer/protocol.ts";
import { START, start } from "./support.ts";

let model: LoadedModel;
let generator: ImageGenerator;
beforeAll(async () => {
  model = await loadModel(start, false);
  generator = await ImageGenerator.load(START);
});

const quiet: BatchEvents = { onProgress() {}, onFrame() {}, isDropped: () => false };
const sampling = { seed: 1, temperature: 1, topP: 1, guidance: 1 };
const part = (example: number, rest: Partial<Part> = {}): Part => ({
  condition: start.examples[example]!,
  sampling,
  first: 0,
  count: 1,
  frames: false,
  ...rest,
});
const imagesOf = (drawn: Awaited<ReturnType<typeof drawBatch>>) =>
  drawn.map((each) => (each.kind === "pictures" ? each.pictures.map(({ pixels }) => pixels) : each.kind));

test("each part of a batch gets what it gets alone, whatever its options, and whoever is dropped beside it", async () => {
  const parts = [
    part(0, { count: 2 }),
    part(1, { sampling: { ...sampling, seed: 7, temperature: 0.7, topK: 30 } }),
    part(0, { first: 5, sampling: { ...sampling, seed: 9, topP: 0.8 } }),
    part(2, { sampling: { ...sampling, seed: 3 } }),
  ];
  const expected = await Promise.all(
    parts.map(
      async ({ condition, sampling, first, count }) =>
        (await generator.draw([condition], { ...sampling, firstSample: first, samples: count }))[0]!,
    ),
  );
  expect(imagesOf(await drawBatch(model, parts, quiet))).toEqual(expected);

  let asked = 0;
  const isDropped = (number: number) => number === 1 && asked++ > 10;
  const [one, , three, four] = expected;
  expect(imagesOf(await drawBatch(model, parts, { ...quiet, isDropped }))).toEqual([one, "dropped", three, four]);
});

test.each([false, true])("who is dropped costs no rows from then on (libtorch: %s)", async (libtorch) => {
  const own = await loadModel(start, libtorch);
  const rows: number[] = [];
  const engine: typeof own.engine = {
    name: "counting",
    encode: (planes) => own.engine.encode(planes),
    predict(question) {
      rows.push(question.t === 0 ? question.sequences.of.length : question.last.length);
      return own.engine.predict(question);
    },
    keep: (sequences) => own.engine.keep(sequences),
    decode: (tokens, condition) => own.engine.decode(tokens, condition),
    release: () => own.engine.release(),
  };
  const parts = [part(0, { count: 2 }), part(1, { count: 3 }), part(2)];
  const expected = imagesOf(await drawBatch(own, parts, quiet));
  const drawn = await drawBatch({ ...own, engine }, parts, {
    ...quiet,
    isDropped: (number) => (number === 0 ? rows.length >= 20 : number === 1 && rows.length >= 5),
  });
  expect(imagesOf(drawn)).toEqual(["dropped", "dropped", expected[2]]);
  expect(rows).toEqual([...Array(5).fill(6), ...Array(15).fill(3), ...Array(44).fill(1)]);
  await engine.release();
});

test("each picture and frame is decoded with the tokens of its own condition", async () => {
  const { engine, condition } = model;
  const tokensOf = async (example: number) => [...(await engine.encode(condition.planesOf(start.examples[example]!)))];
  const seen: number[][] = [];
  const watched: typeof engine = {
    name: "watched",
    encode: (planes) => engine.encode(planes),
    predict: (question) => engine.predict(question),
    keep: (sequences) => engine.keep(sequences),
    decode: (tokens, own) => {
      seen.push([...own]);
      return engine.decode(tokens, own);
    },
    release: () => {},
  };
  await drawBatch({ ...model, engine: watched }, [part(2), part(0, { frames: true }), part(1, { count: 2 })], quiet);
  const [zero, one, two] = [await tokensOf(0), await tokensOf(1), await tokensOf(2)];
  expect(zero).not.toEqual(one);
  expect(seen).toEqual([...Array(7).fill(zero), two, zero, one, one]);
});

test("libtorch draws an exported model as the runtime does, up to the rounding of a byte", async () => {
  const other = await loadModel(start, true);
  expect([model.engine.name, other.engine.name]).toEqual([expect.stringContaining("WebAssembly"), "libtorch"]);
  const parts = [part(0, { count: 2 }), part(3, { sampling: { ...sampling, topP: 0.9 } })];
  const [own, theirs] = [
    imagesOf(await drawBatch(model, parts, quiet)),
    imagesOf(await drawBatch(other, parts, quiet)),
  ];
  const bytes = [own, theirs].map((images) => Buffer.concat((images as Uint8Array[][]).flat()));
  const apart = bytes[0]!.map((value, i) => Math.abs(value - bytes[1]![i]!));
  expect([bytes[0]!.length, Math.max(...apart) <= 1]).toEqual([3 * 32 * 32 * 3, true]);
  expect(apart.reduce((sum, value) => sum + value, 0)).toBeLessThanOrEqual(2);
  await other.engine.release();
});

test("a batch that nobody waits for any more ends", async () => {
  const shares: number[] = [];
  let asked = 0;
  const isDropped = () => ++asked > 20;
  const drawn = await drawBatch(model, [part(0)], { ...quiet, isDropped, onProgress: (share) => shares.push(share) });
  expect(drawn).toEqual([{ kind: "dropped" }]);
  expect(shares).toEqual([1 / 8, 2 / 8]);
});

test("frames are those of the generator's stream, and change nothing for others", async () => {
  const frames: unknown[] = [];
  const drawn = await drawBatch(model, [part(1), part(0, { frames: true, first: 2 })], {
    ...quiet,
    onFrame: (number, share, { sample, pixels }) => frames.push({ number, share, sample, pixels }),
  });
  const expected: Frame[] = [];
  for await (const frame of generator.stream(start.examples[0]!, { ...sampling, firstSample: 2 })) expected.push(frame);
  expect(frames).toEqual(expected.slice(0, -1).map(({ share, pixels }) => ({ number: 1, share, sample: 2, pixels })));
  const [other] = await generator.draw([start.examples[1]!], sampling);
  expect(imagesOf(drawn)).toEqual([other, [expected.at(-1)!.pixels]]);
});

test("a part that means nothing is refused, and the others are drawn", async () => {
  const drawn = await drawBatch(
    model,
    [part(0, { condition: new Uint8Array(3) }), part(0), part(0, { sampling: { ...sampling, guidance: 2 } })],
    quiet,
  );
  expect(drawn.map(({ kind }) => kind)).toEqual(["refused", "pictures", "refused"]);
  expect(drawn[0]).toMatchObject({ message: expect.stringContaining("1024 bytes [32, 32], but 3 came") });
  expect(drawn[2]).toMatchObject({ message: expect.stringContaining("guidance 2 needs a model") });
});
