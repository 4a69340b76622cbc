import { getEventListeners } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ImageGenerator as LibtorchGenerator, loadConfig } from "iqvae";
import * as ort from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { MODEL_FILE, WEIGHTS_FILE } from "../src/bundle.ts";
import type { Engine, EngineFactory } from "../src/engines/engine.ts";
import { onnxEngine } from "../src/engines/onnx.ts";
import { ownEngine } from "../src/engines/own.ts";
import { DisposedError, ModelError } from "../src/errors.ts";
import type { ModelSource } from "../src/files.ts";
import { type Frame, ImageGenerator } from "../src/generator.ts";
import { type Example, exampleOf, someCondition, writeFolder } from "./support.ts";

let folder: string;
let example: Example;
let generator: ImageGenerator;
let conditions: Uint8Array[];
const fileList = (files: Example["files"] = example.files) =>
  Object.entries(files).map(([name, bytes]) => new File([bytes as Uint8Array<ArrayBuffer>], name));

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "runtime-"));
  example = await exampleOf("tiny", { unconditional: true });
  writeFolder(join(folder, "tiny"), example.files);
  generator = await ImageGenerator.load(join(folder, "tiny"));
  conditions = [0, 1].map((seed) => someCondition(example, seed));
});
afterAll(async () => {
  await generator.dispose();
  rmSync(folder, { recursive: true });
});

const framesOf = async (options: Parameters<ImageGenerator["stream"]>[1]): Promise<Frame[]> => {
  const frames: Frame[] = [];
  for await (const frame of generator.stream(conditions[0]!, options)) frames.push(frame);
  return frames;
};

describe("draws", () => {
  test("the images of the libtorch generator", async () => {
    const config = await loadConfig("tiny");
    const libtorch = new LibtorchGenerator(config, example.model.condition, example);
    const options = { samples: 2, seed: 4, topP: 0.9, guidance: 2 };
    const expected = libtorch.draw(conditions, options);
    const images = await generator.draw(conditions, options);
    expect(images.map((row) => row.length)).toEqual([2, 2]);
    const [own, theirs] = [images, expected].map((all) => all.flat().flatMap((image) => [...image]));
    const off = own!.filter((byte, i) => byte !== theirs![i]).length;
    expect(off).toBeLessThanOrEqual(own!.length / 10_000);
  });

  test("frame by frame, of which the last are the images", async () => {
    const options = { samples: 2, seed: 1 };
    const frames = await framesOf(options);
    const [rows, columns] = example.model.grids.image;
    expect(frames.length).toBe(2 * rows);
    expect(frames.map(({ share }) => share)).toEqual([...frames.map(({ share }) => share)].sort((a, b) => a - b));
    const last = frames.filter(({ share }) => share === 1).map(({ pixels }) => pixels);
    expect(last).toEqual((await generator.draw([conditions[0]!], options))[0]);
    const final = frames.at(-1)!;
    for (const { sample, share, tokens } of frames) {
      const known = Math.round(share * rows * columns);
      expect([...tokens.subarray(known)].every((token) => token === -1)).toBe(true);
      if (sample === final.sample) expect(tokens.subarray(0, known)).toEqual(final.tokens.subarray(0, known));
    }
  });

  test("given tokens as they are, and the rest of the image anew", async () => {
    const [tokens] = await generator.drawTokens([conditions[0]!]);
    const kept = tokens!.map((token, t) => (t < 8 ? token : -1));
    const [again] = await generator.drawTokens([conditions[0]!], { fixed: [kept], seed: 3 });
    expect(again!.subarray(0, 8)).toEqual(tokens!.subarray(0, 8));
    expect(again).not.toEqual(tokens);
  });

  test("what the model's own settings say, where nothing else is said", async () => {
    const json = { ...JSON.parse(new TextDecoder().decode(example.files[MODEL_FILE]!)) };
    json.sampling = { temperature: 1, topK: 1, topP: 1, guidance: 1 };
    const files = { ...example.files, [MODEL_FILE]: new TextEncoder().encode(JSON.stringify(json)) };
    const greedy = await ImageGenerator.load(fileList(files));
    const expected = await generator.drawTokens(conditions, { topK: 1 });
    expect(await greedy.drawTokens(conditions, { seed: 8 })).toEqual(expected);
    expect(await greedy.drawTokens(conditions, { topK: 32 })).toEqual(await generator.drawTokens(conditions));
  });

  test("an option that is undefined as the model's own settings say, and with a top-k of null all codes", async () => {
    const json = { ...JSON.parse(new TextDecoder().decode(example.files[MODEL_FILE]!)) };
    json.sampling = { temperature: 0.5, topK: 4, topP: 0.8, guidance: 3 };
    const files = { ...example.files, [MODEL_FILE]: new TextEncoder().encode(JSON.stringify(json)) };
    await using other = await ImageGenerator.load(fileList(files));
    const expected = await generator.drawTokens(conditions, json.sampling);
    const names = ["temperature", "topK", "topP", "guidance", "samples", "firstSample", "seed", "noise", "batch"];
    for (const name of [...names, "fixed", "blend", "onProgress", "signal"])
      expect([name, await other.drawTokens(conditions, { [name]: undefined })]).toEqual([name, expected]);
    expect(await other.drawTokens(conditions, { ...other.model.sampling })).toEqual(expected);
    const all = await generator.drawTokens(conditions, { ...json.sampling, topK: 32 });
    expect(await other.drawTokens(conditions, { topK: null })).toEqual(all);
    expect(all).not.toEqual(expected);
  });

  test("for several who ask at once, one after the other", async () => {
    const alone = await generator.drawTokens(conditions, { seed: 1 });
    const other = await generator.drawTokens(conditions, { seed: 2 });
    const together = await Promise.all([1, 2, 1].map((seed) => generator.drawTokens(conditions, { seed })));
    expect(together).toEqual([alone, other, alone]);
  });

  test("what it was given, whatever the caller does with the bytes while it waits", async () => {
    const tokens = Int32Array.from({ length: 16 }, (_, t) => (t < 4 ? 3 : -1));
    const options = { blend: { conditions: [conditions[1]!], share: 0.3 }, fixed: [tokens] };
    const [own, other, fixed] = [conditions[0]!.slice(), conditions[1]!.slice(), tokens.slice()];
    const given = { blend: { conditions: [other], share: 0.3 }, fixed: [fixed] };
    const frames = generator.stream(own, given);
    const drawn = [generator.draw([own], given), generator.drawTokens([own], given)];
    for (const painted of [own, other, fixed]) painted.fill(0);
    const shown: Frame[] = [];
    for await (const frame of frames) shown.push(frame);
    expect(shown).toEqual(await framesOf(options));
    expect(await Promise.all(drawn)).toEqual([
      await generator.draw([conditions[0]!], options),
      await generator.drawTokens([conditions[0]!], options),
    ]);
  });

  test("on a blend of conditions from the one to the other", async () => {
    const at = (share: number) => {
      const blend = { conditions: [conditions[1]!], share };
      return generator.drawTokens([conditions[0]!], { noise: { kind: "shared" }, blend });
    };
    const plain = await generator.drawTokens(conditions, { noise: { kind: "shared" } });
    expect([...(await at(0)), ...(await at(1))]).toEqual(plain);
  });

  test("each picture with the tokens of its condition, in a blend with those of the larger share", async () => {
    const encoded: string[] = [];
    const seen: number[] = [];
    const watched: EngineFactory = async (model, weights) => {
      const own = (await ownEngine(model, weights)) as Engine;
      return {
        name: "watched",
        encode: async (planes) => {
          const tokens = await own.encode(planes);
          if (!encoded.includes(tokens.join())) encoded.push(tokens.join());
          return tokens;
        },
        predict: (question) => own.predict(question),
        keep: (sequences) => own.keep(sequences),
        decode: (tokens, condition) => {
          seen.push(encoded.indexOf(condition.join()));
          return own.decode(tokens, condition);
        },
        release: () => own.release(),
      };
    };
    const other = await ImageGenerator.load(join(folder, "tiny"), { engine: watched });
    const seenBy = async (draw: () => Promise<unknown>) => {
      seen.length = 0;
      await draw();
      return [...seen];
    };
    expect(await seenBy(() => other.draw(conditions, { samples: 2 }))).toEqual([0, 0, 1, 1]);
    const blend = (share: number) => ({ blend: { conditions: [conditions[1]!], share } });
    expect(await seenBy(() => other.draw([conditions[0]!], blend(0.5)))).toEqual([0]);
    expect(await seenBy(() => other.draw([conditions[0]!], blend(0.6)))).toEqual([1]);
    const rows = example.model.grids.image[0];
    const stream = async () => {
      for await (const { pixels } of other.stream(conditions[1]!, { samples: 2 }))
        expect(pixels.length).toBeGreaterThan(0);
    };
    expect(await seenBy(stream)).toEqual(Array(2 * rows).fill(1));
    await other.dispose();
  });

  test.each([
    [{ topP: 2 }, "topP must lie in (0, 1], but is 2"],
    [{ noise: { kind: "share" } as never }, "noise.kind must be own, shared or between, but is share"],
    [{ noise: null as never }, "noise.kind must be own, shared or between, but is undefined"],
    [{ seed: 0.5 }, "seed must be a whole number"],
    [{ fixed: [new Int32Array(3)] }, "fixed must hold 16 tokens for each of the 2 conditions"],
  ])("refuses %o", async (options, message) => {
    await expect(generator.draw(conditions, options)).rejects.toThrow(message);
  });

  test("refuses a condition that is none or not in a list, and goes on afterward", async () => {
    const list = "conditions must be a list, such as [condition], but";
    for (const [given, message] of [
      [[new Uint8Array(5)], 'a condition of kind "semantic" is 1024 bytes [32, 32], but 5 came.'],
      [[undefined], "[32, 32], but undefined came."],
      [conditions[0], `${list} Uint8Array came`],
      [undefined, `${list} undefined came`],
    ])
      await expect(generator.draw(given as never)).rejects.toThrow(message as string);
    expect(await generator.draw(conditions)).toHaveLength(2);
  });
});

describe("an abort", () => {
  test("before drawing, and between two tokens, ends it; the next draws as ever", async () => {
    await expect(generator.draw(conditions, { signal: AbortSignal.abort(new Error("too late")) })).rejects.toThrow(
      "too late",
    );
    const control = new AbortController();
    const onProgress = () => control.abort(new Error("enough"));
    await expect(generator.draw(conditions, { signal: control.signal, onProgress })).rejects.toThrow("enough");
    expect(await generator.draw(conditions)).toHaveLength(2);
  });

  test("while the last pixels are made ends it, and other events happen meanwhile", async () => {
    const control = new AbortController();
    const whole: number[] = [];
    const read = async () => {
      for await (const { sample, share } of generator.stream(conditions[0]!, { samples: 3, signal: control.signal }))
        if (share === 1) control.abort(new Error(`after ${whole.push(sample)}`));
    };
    await expect(read()).rejects.toThrow("after 1");
    expect(whole).toEqual([0]);
    const other = vi.fn();
    const timer = setInterval(other, 1);
    await generator.drawTokens(conditions, { samples: 50 });
    clearInterval(timer);
    expect(other).toHaveBeenCalled();
  });

  test("while it waits for its turn", async () => {
    const first = generator.drawTokens(conditions, { samples: 4 });
    const control = new AbortController();
    const second = generator.drawTokens(conditions, { signal: control.signal });
    control.abort(new Error("not needed"));
    await expect(second).rejects.toThrow("not needed");
    expect(await first).toHaveLength(8);
  });

  test("while it waits for its turn is heard at once, and those behind still wait", async () => {
    const ended: string[] = [];
    const draw = (name: string, signal?: AbortSignal) =>
      generator.drawTokens(conditions, signal && { signal }).then(
        () => ended.push(name),
        (error: Error) => ended.push(error.message),
      );
    const control = new AbortController();
    const stream = generator.stream(conditions[0]!);
    await stream.next();
    const aborted = [
      draw("second", control.signal),
      draw("third", AbortSignal.abort(new Error("too late"))),
      (async () => {
        for await (const _ of generator.stream(conditions[0]!, { signal: control.signal })) ended.push("fourth");
      })().catch((error: Error) => ended.push(error.message)),
    ];
    const last = draw("last");
    control.abort(new Error("not needed"));
    for (let i = 0; i < 10; i++) await new Promise(setImmediate);
    const early = [...ended].sort();
    await stream.return();
    await Promise.all([...aborted, last]);
    expect(early).toEqual(["not needed", "not needed", "too late"]);
    expect(ended.at(-1)).toBe("last");
  });

  test("of many that wait for one signal takes one listener of it, and leaves none", async () => {
    const { signal } = new AbortController();
    const drawn = Array.from({ length: 12 }, () => generator.drawTokens(conditions, { signal }));
    expect(getEventListeners(signal, "abort")).toHaveLength(1);
    await Promise.all(drawn);
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  test("a consumer that leaves a stream lets others draw", async () => {
    for await (const { share } of generator.stream(conditions[0]!)) {
      expect(share).toBeLessThan(1);
      break;
    }
    expect(await generator.draw(conditions)).toHaveLength(2);
  });

  test("of loading", async () => {
    const signal = AbortSignal.abort(new Error("closed"));
    await expect(ImageGenerator.load(fileList(), { signal })).rejects.toThrow("closed");
    await expect(ImageGenerator.load(join(folder, "tiny"), { signal })).rejects.toThrow("closed");
  });

  test("of loading, while bytes come and while the engine is made, which is released", async () => {
    const [closed, release] = [new Error("closed"), vi.fn()];
    const load = async (options: (abort: () => void) => Parameters<typeof ImageGenerator.load>[1]) => {
      const control = new AbortController();
      await ImageGenerator.load(fileList(), { signal: control.signal, ...options(() => control.abort(closed)) });
    };
    await expect(load((progress) => ({ progress }))).rejects.toBe(closed);
    const engine = (abort: () => void) => () => {
      abort();
      return { release } as unknown as Engine;
    };
    await expect(load((abort) => ({ engine: engine(abort) }))).rejects.toBe(closed);
    expect(release).toHaveBeenCalledOnce();
  });
});

describe("after dispose", () => {
  test("nothing can be drawn, and what was being drawn is finished", async () => {
    const other = await ImageGenerator.load(fileList());
    const drawing = other.drawTokens(conditions);
    await other.dispose();
    expect(await drawing).toHaveLength(2);
    await expect(other.draw(conditions)).rejects.toThrow(DisposedError);
    expect(() => other.engine).toThrow("was disposed of");
    await other.dispose();
  });
});

describe("loads", () => {
  let server: Server;
  let base: string;
  const served = new Map<string, Uint8Array>();

  beforeAll(async () => {
    for (const [name, bytes] of Object.entries(example.files)) served.set(`/models/tiny/${name}`, bytes);
    server = createServer((request, response) => {
      const bytes = served.get(request.url!);
      if (bytes === undefined) response.writeHead(404).end();
      else if (request.url!.includes("broken")) {
        response.writeHead(200, { "content-length": bytes.length }).write(bytes.subarray(0, 1000));
        setTimeout(() => response.destroy(), 20);
      } else response.end(bytes);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/models/`;
  });
  afterAll(() => {
    server.close();
  });

  test("from a path, a file URL, files, and the web, with the bytes that came", async () => {
    const expected = await generator.drawTokens(conditions);
    const path = join(folder, "tiny");
    const chosen = { ...fileList(), length: 6 }; // as an input has them
    for (const source of [path, pathToFileURL(path), fileList(), chosen, `${base}tiny`, new URL(`${base}tiny/`)]) {
      const seen: number[][] = [];
      const other = await ImageGenerator.load(source, { progress: (loaded, total) => seen.push([loaded, total]) });
      const all = example.files[WEIGHTS_FILE]!.length;
      expect(seen.at(-1)).toEqual([all, all]);
      expect(await other.drawTokens(conditions)).toEqual(expected);
      await other.dispose();
    }
  });

  test.each([
    [
      "a path without files",
      (): ModelSource => join(folder, "nothing"),
      "missing",
      "name a folder that iqvae export wrote",
    ],
    ["an address without files", (): ModelSource => `${base}nothing`, "missing", "the server answered 404"],
    ["a server that is not there", (): ModelSource => "http://127.0.0.1:9/", "missing", "it cannot be fetched"],
    ["files without the model", (): ModelSource => [new File([], "a.txt")], "missing", "among the 1 files (a.txt)"],
  ] as const)("nothing from %s", async (_, source, problem, message) => {
    const failed = ImageGenerator.load(source());
    await expect(failed).rejects.toThrow(ModelError);
    await expect(failed).rejects.toMatchObject({ problem, message: expect.stringContaining(message) });
  });

  test("nothing over a connection that breaks", async () => {
    served.set("/models/broken/model.json", example.files[MODEL_FILE]!);
    served.set("/models/broken/model.safetensors", example.files[WEIGHTS_FILE]!);
    await expect(ImageGenerator.load(`${base}broken`)).rejects.toThrow(ModelError);
  });

  test("with another engine, whose files are checked as well", async () => {
    const engine = onnxEngine(ort, { intraOpNumThreads: 1 });
    await using other = await ImageGenerator.load(`${base}tiny`, { engine });
    expect(other.engine).toBe("ONNX Runtime");
    expect(await other.drawTokens(conditions)).toEqual(await generator.drawTokens(conditions));
    const step = Uint8Array.from(example.files["step.onnx"]!);
    step[100]! ^= 1;
    const damaged = ImageGenerator.load(fileList({ ...example.files, "step.onnx": step }), { engine });
    await expect(damaged).rejects.toMatchObject({ file: "step.onnx", problem: "damaged" });
    const { [MODEL_FILE]: json, [WEIGHTS_FILE]: weights } = example.files;
    const old = JSON.parse(new TextDecoder().decode(json));
    delete old.files["step.onnx"];
    const files = { [MODEL_FILE]: new TextEncoder().encode(JSON.stringify(old)), [WEIGHTS_FILE]: weights! };
    const without = ImageGenerator.load(fileList({ ...example.files, ...files }), { engine });
    await expect(without).rejects.toMatchObject({ file: "step.onnx", problem: "missing" });
  });

  test("no weights that were cut off, or of which a bit is another", async () => {
    const weights = example.files[WEIGHTS_FILE]!;
    const load = (bytes: Uint8Array) => ImageGenerator.load(fileList({ ...example.files, [WEIGHTS_FILE]: bytes }));
    await expect(load(weights.subarray(0, -1))).rejects.toThrow(/has \d+ bytes, but model.json says \d+/);
    const flipped = Uint8Array.from(weights);
    flipped[5000]! ^= 1;
    await expect(load(flipped)).rejects.toThrow(/its SHA-256 is \w{64}, but model.json says \w{64}/);
  });
});
