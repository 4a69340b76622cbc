import { tensor } from "@iqvae/torch";
import { cachedSampler, ImageGenerator as LibtorchGenerator, loadConfig } from "iqvae";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MODEL_FILE, WEIGHTS_FILE } from "../../src/bundle.ts";
import { plainCondition } from "../../src/conditions/index.ts";
import { GOLDEN_CONDITIONS, GOLDEN_SEED, GOLDEN_SETS, goldenExample, goldenFile, goldenText } from "../golden.ts";
import { type Example, exampleOf, someCondition } from "../support.ts";
import { Host, launch, PATIENCE, textOf } from "./browser.ts";
import type { TestPage } from "./pages/test-page.ts";

declare const iqvae: TestPage;

let browser: Browser;
let host: Host;
let page: Page;
let example: Example;
let url: string;

beforeAll(async () => {
  host = await Host.start();
  browser = await launch();
  example = await exampleOf("start", { unconditional: true });
  url = host.serve("start", example.files);
});
afterAll(async () => {
  await browser?.close();
  host.close();
});

/** A page of an own profile: nothing is cached. */
const open = async (running = browser): Promise<Page> => {
  const context = await running.newContext();
  const opened = await context.newPage();
  opened.setDefaultTimeout(PATIENCE);
  opened.on("pageerror", (error) => console.error(error));
  await opened.goto(host.url);
  await opened.waitForFunction(() => "iqvae" in globalThis);
  return opened;
};

describe("draws in Chromium", () => {
  beforeAll(async () => {
    page = await open();
  });
  afterAll(async () => {
    await page.context().close();
  });

  test("without the headers that shared memory needs", async () => {
    expect(await page.evaluate("crossOriginIsolated")).toBe(false);
    expect(await page.evaluate(() => typeof SharedArrayBuffer)).toBe("undefined");
  });

  describe.each(["own", "wasm"])("the tokens that a seed promises, engine %s", (engine) => {
    let golden: string;
    beforeAll(async () => {
      golden = host.serve("golden", (await goldenExample()).files);
    });

    test.each(Object.entries(GOLDEN_SETS))("%s", async (name, options) => {
      const conditions = GOLDEN_CONDITIONS.map((row) => [...row]);
      const given = { golden, engine, conditions, options: { seed: GOLDEN_SEED, ...options } as object };
      const rows = await page.evaluate(
        (all) => iqvae.drawTokens(all.golden, all.engine, all.conditions, all.options),
        given,
      );
      expect(goldenText(rows)).toBe(textOf(goldenFile(name)));
    });
  });

  describe("what libtorch draws", () => {
    const options = { seed: 4, topP: 0.9, guidance: 2 };
    /** Enough bytes to tell 1 of 10,000. */
    const samples = 40;
    let condition: Uint8Array;
    let tokens: number[];
    let pixels: number[];

    beforeAll(async () => {
      condition = someCondition(example, 1);
      const config = await loadConfig("start");
      const libtorch = new LibtorchGenerator(config, example.model.condition, example);
      pixels = libtorch.draw([condition], { ...options, samples })[0]!.flatMap((image) => [...image]);
      const shape = [1, ...plainCondition(example.model.condition, example.model.size).shape];
      const given = example.iqvae.encodeCondition(tensor(condition, { shape })).flatten(1);
      const drawn = cachedSampler(example.transformer).sample(given, { ...options, samples: 2 });
      tokens = Array.from(drawn.flatten().read("int64"), Number);
    });

    test.each(["own", "worker", "wasm"])("token by token, and within 1 byte of 10,000: %s", async (engine) => {
      const { frames, images } = await page.evaluate(
        async ({ address, name, bytes, drawing, count }) => {
          const generator = await iqvae.load(address, name);
          const given = Uint8Array.from(bytes);
          const grown = [];
          for await (const frame of generator.stream(given, { ...drawing, samples: 2 }))
            grown.push({ ...frame, pixels: [...frame.pixels], tokens: [...frame.tokens] });
          const drawn = await generator.draw([given], { ...drawing, samples: count });
          await generator.dispose();
          return { frames: grown, images: drawn[0]!.map((image) => [...image]) };
        },
        { address: url, name: engine, bytes: [...condition], drawing: options, count: samples },
      );
      const rows = example.model.grids.image[0];
      expect(frames.map(({ sample }) => sample).sort()).toEqual([...Array(rows).fill(0), ...Array(rows).fill(1)]);
      const last = frames.filter(({ share }) => share === 1);
      expect(last.flatMap((frame) => frame.tokens)).toEqual(tokens);
      expect(last.map((frame) => frame.pixels)).toEqual(images.slice(0, 2));
      const apart = images.flat().map((byte, i) => Math.abs(byte - pixels[i]!));
      expect(apart).toHaveLength(pixels.length);
      expect(apart.filter((by) => by > 1)).toEqual([]);
      expect(apart.filter((by) => by > 0).length).toBeLessThanOrEqual(pixels.length / 10_000);
    });
  });
});

test("the tokens that a seed promises on WebGPU, by a processor that takes a GPU's place", async () => {
  const own = await launch(["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]);
  try {
    page = await open(own);
    const golden = host.serve("golden", (await goldenExample()).files);
    const conditions = GOLDEN_CONDITIONS.map((row) => [...row]);
    const given = { golden, conditions, options: { seed: GOLDEN_SEED } };
    const rows = await page.evaluate(
      (all) => iqvae.drawTokens(all.golden, "webgpu", all.conditions, all.options),
      given,
    );
    expect(goldenText(rows)).toBe(textOf(goldenFile("plain")));
  } finally {
    await own.close();
  }
});

describe("loads in Chromium", () => {
  beforeAll(async () => {
    page = await open();
  });
  afterAll(async () => {
    await page.context().close();
  });
  const load = (address: string, engine: string) =>
    page.evaluate(
      async ([at, name]) => {
        const progress: number[][] = [];
        try {
          const generator = await iqvae.load(at!, name!, {
            progress: (loaded, total) => progress.push([loaded, total]),
          });
          await generator.dispose();
          return { progress };
        } catch (error) {
          const {
            name: kind,
            message,
            problem,
            file,
          } = error as { name: string; message: string; problem?: string; file?: string };
          return { progress, error: { kind, message, problem, file } };
        }
      },
      [address, engine] as const,
    );
  const askedFor = (name: string) => host.asked.filter((path) => path === `/${name}`).length;

  test.each(["own", "worker", "wasm"])("the weights once, the second time from the cache: %s", async (engine) => {
    const name = `cached-${engine}`;
    const address = host.serve(name, example.files);
    const total = example.files[WEIGHTS_FILE]!.length;
    for (const visit of [1, 2]) {
      const { progress, error } = await load(address, engine);
      expect(error).toBeUndefined();
      expect(progress.at(-1)).toEqual([total, total]);
      expect(askedFor(`${name}/${MODEL_FILE}`)).toBe(visit);
    }
    const others =
      engine === "wasm"
        ? [WEIGHTS_FILE, "condition.onnx", "transformer.onnx", "step.onnx", "image.onnx"]
        : [WEIGHTS_FILE];
    for (const file of others) expect([file, askedFor(`${name}/${file}`)]).toEqual([file, 1]);
  });

  test("another export at the same address anew, in place of the old one, and what was damaged since", async () => {
    const address = host.serve("renewed", example.files);
    await load(address, "own");
    const other = await exampleOf("start");
    host.serve("renewed", other.files);
    expect((await load(address, "own")).error).toBeUndefined();
    expect(askedFor(`renewed/${WEIGHTS_FILE}`)).toBe(2);
    const damaged = await page.evaluate<number>(`(async () => {
      const cache = await caches.open("iqvae-models");
      const own = (await cache.keys()).filter(({ url }) => url.includes("/renewed/"));
      for (const key of own) await cache.put(key, new Response("cut off"));
      return own.length;
    })()`);
    expect(damaged).toBe(1);
    for (let visit = 0; visit < 2; visit++) expect((await load(address, "own")).error).toBeUndefined();
    expect(askedFor(`renewed/${WEIGHTS_FILE}`)).toBe(3);
  });

  test.each(["own", "worker"])("no damaged weights, and does not keep them: %s", async (engine) => {
    const name = `damaged-${engine}`;
    const weights = Uint8Array.from(example.files[WEIGHTS_FILE]!);
    weights[5000]! ^= 1;
    const address = host.serve(name, { ...example.files, [WEIGHTS_FILE]: weights });
    const { error } = await load(address, engine);
    expect(error).toMatchObject({ kind: "ModelError", problem: "damaged", file: WEIGHTS_FILE });
    expect(error!.message).toMatch(/its SHA-256 is \w{64}, but model.json says \w{64}/);
    expect(askedFor(`${name}/${WEIGHTS_FILE}`)).toBe(2); // once more, past what the browser keeps
    host.serve(name, example.files);
    expect((await load(address, engine)).error).toBeUndefined();
    expect(askedFor(`${name}/${WEIGHTS_FILE}`)).toBe(3);
  });

  test("nothing that is not there", async () => {
    const { error } = await load(`${host.url}/nothing`, "worker");
    expect(error).toMatchObject({ kind: "ModelError", problem: "missing" });
    expect(error!.message).toContain("the server answered 404");
  });

  test.each(["own", "worker"])("no longer than until it is aborted: %s", async (engine) => {
    const name = `slow-${engine}`;
    const address = host.serve(name, example.files);
    let hungUp = () => {};
    const closed = new Promise<void>((resolve) => {
      hungUp = resolve;
    });
    host.instead.set(`/${name}/${WEIGHTS_FILE}`, (_, response) => {
      response.writeHead(200).write(example.files[WEIGHTS_FILE]!.subarray(0, 100_000)); // and then nothing
      response.on("close", hungUp);
    });
    const reason = await page.evaluate(
      async ([at, which]) => {
        const control = new AbortController();
        const progress = () => control.abort(new Error("another model was chosen"));
        return await iqvae.load(at!, which!, { signal: control.signal, progress }).then(
          () => "loaded",
          (error: Error) => error.message,
        );
      },
      [address, engine] as const,
    );
    expect(reason).toBe("another model was chosen");
    await closed;
  });
});

test("an abort ends what a worker draws, and the next draws as ever", async () => {
  page = await open();
  const bytes = [...someCondition(example, 0)];
  const [aborted, after, expected] = await page.evaluate(
    async ({ address, condition }) => {
      const generator = await iqvae.load(address, "worker");
      const given = Uint8Array.from(condition);
      const first = (await generator.draw([given]))[0]![0]!;
      const control = new AbortController();
      let share = 0;
      const drawing = generator.draw([given], {
        samples: 30_000, // for which nobody would wait
        signal: control.signal,
        onProgress(done) {
          share = done;
          control.abort(new Error("a newer stroke"));
        },
      });
      const message = await drawing.then(
        () => "drawn",
        (error: Error) => error.message,
      );
      const again = (await generator.draw([given]))[0]![0]!;
      await generator.dispose();
      return [{ message, share }, [...again], [...first]] as const;
    },
    { address: url, condition: bytes },
  );
  expect(aborted.message).toBe("a newer stroke");
  expect(aborted.share).toBeLessThan(0.1);
  expect(after).toEqual(expected);
  await page.context().close();
});

describe("gives its memory back", () => {
  beforeAll(async () => {
    page = await open();
  });
  afterAll(async () => {
    await page.context().close();
  });

  /** Bytes of objects and buffers of the page, after all garbage is collected. */
  const heap = async (): Promise<number> => {
    const client = await page.context().newCDPSession(page);
    await client.send("HeapProfiler.collectGarbage");
    const usage: object = await client.send("Runtime.getHeapUsage");
    await client.detach();
    const { usedSize, backingStorageSize } = usage as { usedSize: number; backingStorageSize: number };
    return usedSize + backingStorageSize;
  };
  const draw = (name: string) =>
    page.evaluate(
      async ([address, engine, bytes]) => {
        const generator = await iqvae.load(address, engine);
        await generator.draw([Uint8Array.from(bytes)]);
        Object.assign(globalThis, { kept: generator });
      },
      [url, name, [...someCondition(example, 0)]] as const,
    );
  const dispose = () =>
    page.evaluate(async () => {
      const { kept } = globalThis as unknown as { kept: { dispose(): Promise<void> } };
      await kept.dispose(); // and is kept, as by a page that forgot about it
    });

  test("in the page", async () => {
    await draw("own");
    await dispose();
    const before = await heap();
    const model = example.files[WEIGHTS_FILE]!.length;
    for (let round = 0; round < 3; round++) {
      await draw("own");
      const during = await heap();
      await dispose();
      const after = await heap();
      expect(during - before).toBeGreaterThan(0.8 * model);
      expect(after - before).toBeLessThan(0.05 * model);
    }
  });

  test("and ends its worker", async () => {
    await draw("worker");
    const [worker] = page.workers();
    const ended = new Promise((resolve) => worker!.on("close", resolve));
    await dispose();
    await ended;
  });
});
