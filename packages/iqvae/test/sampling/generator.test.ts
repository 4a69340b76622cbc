import { join } from "node:path";
import { inferenceMode, liveTensors, manualSeed, noGrad, scope, tensor } from "@iqvae/torch";
import * as fc from "fast-check";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { conditionFor } from "../../src/conditions/index.ts";
import { parseConfig, presets } from "../../src/config/index.ts";
import { conditionSpec } from "../../src/data/index.ts";
import { readMask, readPartialImage } from "../../src/media/index.ts";
import { IqVae } from "../../src/models/iqvae.ts";
import { Transformer } from "../../src/models/transformer.ts";
import { saveCheckpoint } from "../../src/run/checkpoint.ts";
import { restoreModels } from "../../src/run/restore.ts";
import { givenTokens, withoutHole } from "../../src/sampling/completion.ts";
import { ImageGenerator } from "../../src/sampling/generator.ts";
import { transformerConfig } from "../../src/stage2/config.ts";
import { seededRandom } from "../../src/support/random.ts";
import { prefixed } from "../../src/support/tensor-names.ts";
import { temporaryFolder } from "../run/support.ts";

const SIZE = 32;
const config = parseConfig({ ...presets.tiny, stage2: { ...presets.tiny.stage2, conditionDropout: 0.1 } }, "test");
const spec = conditionSpec(config.data);
manualSeed(1);
const iqvae = new IqVae(config.stage1.model, conditionFor(spec, SIZE));
const transformer = new Transformer(transformerConfig(config.stage2), iqvae.tokenShape(SIZE));
noGrad(() => {
  // As a trained model's: predictions that depend on what is given.
  for (const weight of transformer.namedParameters().values()) if (weight.ndim === 2) weight.mul_(8);
});
const generator = new ImageGenerator(config, spec, { iqvae, transformer });

const random = seededRandom("generator");
const raster = (size = SIZE) => Uint8Array.from({ length: size * size }, () => Math.floor(random() * 13));
const picture = () => Uint8Array.from({ length: SIZE * SIZE * 3 }, () => Math.floor(random() * 256));
const [one, two] = [raster(), raster()];

describe("completing", () => {
  const mask = (given: (x: number, y: number) => boolean) =>
    Uint8Array.from({ length: SIZE * SIZE }, (_, i) => Number(given(i % SIZE, Math.floor(i / SIZE))));

  test("with nothing given is drawing", () => {
    const nothing = { image: picture(), mask: mask(() => false) };
    const options = { samples: 2, seed: 3 };
    expect(generator.complete([one], [nothing], options)).toEqual(generator.draw([one], options));
  });

  test("keeps the given pixels, in every sample, and draws different rests", () => {
    const upper = { image: picture(), mask: mask((_, y) => y < 16) };
    const [images] = generator.complete([one], [upper], { samples: 3 });
    for (const image of images!)
      expect(image.subarray(0, 16 * SIZE * 3)).toEqual(upper.image.subarray(0, 16 * SIZE * 3));
    expect(new Set(images!.map((image) => image.join())).size).toBe(3);
  });

  test("each of several with what is given of it", () => {
    const parts = [
      { image: picture(), mask: mask((_, y) => y < 16) },
      { image: picture(), mask: mask((x) => x < 12) },
    ];
    const alone = [one, two].map((condition, i) => generator.complete([condition], [parts[i]!], { samples: 2 })[0]);
    expect(generator.complete([one, two], parts, { samples: 2 })).toEqual(alone);
  });

  test("does not look at what lies in the hole", () => {
    const upper = { image: picture(), mask: mask((_, y) => y < 16) };
    const other = { ...upper, image: upper.image.map((value, i) => (i < 16 * SIZE * 3 ? value : 255 - value)) };
    expect(generator.complete([one], [other])).toEqual(generator.complete([one], [upper]));
  });

  test("the given part decides what follows", () => {
    const upper = () => ({ image: picture(), mask: mask((_, y) => y < 16) });
    const below = (images: Uint8Array[][]) => images[0]![0]!.subarray(16 * SIZE * 3);
    expect(below(generator.complete([one], [upper()]))).not.toEqual(below(generator.complete([one], [upper()])));
  });

  test("fixes just the tokens that are given wholly", async () => {
    await fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 64, maxLength: 64 }), fc.nat(63), (cells, hole) => {
        const whole = mask((x, y) => cells[Math.floor(y / 4) * 8 + Math.floor(x / 4)]!);
        expect(givenTokens(whole, SIZE, 8)).toEqual(cells);
        whole[(Math.floor(hole / 8) * 4 + 3) * SIZE + (hole % 8) * 4 + 1] = 0; // one pixel of a token
        expect(givenTokens(whole, SIZE, 8)).toEqual(cells.map((given, i) => given && i !== hole));
      }),
    );
  });

  test("fills holes with the mean of what is given", () => {
    const image = Uint8Array.of(10, 20, 30, 1, 2, 3, 20, 40, 60);
    expect(withoutHole({ image, mask: Uint8Array.of(1, 0, 1) })).toEqual(
      Uint8Array.of(10, 20, 30, 15, 30, 45, 20, 40, 60),
    );
    expect(withoutHole({ image, mask: Uint8Array.of(0, 0, 0) })).toEqual(Uint8Array.from({ length: 9 }, () => 127));
  });

  test("refuses images and masks of another size, and another number of them", () => {
    const whole = { image: picture(), mask: mask(() => true) };
    expect(() => generator.complete([one], [{ ...whole, mask: new Uint8Array(5) }])).toThrow(
      "complete() takes an image of 32 × 32 RGB pixels (3072 bytes) and a mask of as many pixels (1024 bytes), but got 3072 and 5 bytes",
    );
    expect(() => generator.complete([one, two], [whole])).toThrow(
      "complete() takes one partial image for each condition, but got 1 for 2",
    );
  });
});

describe("files of partial images", () => {
  const raw = (channels: 3 | 4, byte: (i: number) => number) => ({
    data: Buffer.from(Uint8Array.from({ length: 16 * channels }, (_, i) => byte(i))),
    raw: { width: 4, height: 4, channels },
  });
  const write = async (name: string, { data, raw: shape }: ReturnType<typeof raw>) => {
    const path = join(temporaryFolder(), name);
    await sharp(data, { raw: shape }).png().toFile(path);
    return path;
  };

  test("give what is not transparent, or what the mask shows light", async () => {
    const image = await write(
      "image.png",
      raw(4, (i) => (i % 4 === 3 ? (i < 32 ? 255 : 0) : 7 * (i % 4))),
    );
    const read = await readPartialImage(image, undefined, 4);
    expect(Array.from(read.mask)).toEqual(Array.from({ length: 16 }, (_, i) => Number(i < 8)));
    expect(Array.from(read.image.subarray(0, 6))).toEqual([0, 7, 14, 0, 7, 14]);
    const masked = await write(
      "mask.png",
      raw(3, (i) => (i % 2 === 0 && i < 6 ? 255 : i < 6 ? 200 : 30)),
    );
    expect(Array.from((await readPartialImage(image, masked, 4)).mask)).toEqual([1, 1, ...Array(14).fill(0)]);
  });

  test("that are of another size, whole, or no images are named", async () => {
    const whole = await write(
      "whole.png",
      raw(3, () => 9),
    );
    await expect(readPartialImage(whole, undefined, 4)).rejects.toThrow(
      /has no transparent pixel, so nothing of it is to be drawn/,
    );
    await expect(readMask(whole, 8)).rejects.toThrow(/expected 8 × 8 pixels, got 4 × 4/);
    await expect(readMask("/nowhere.png", 8)).rejects.toThrow("/nowhere.png cannot be read: there is no such file.");
    await expect(readMask(new URL(import.meta.url).pathname, 8)).rejects.toThrow(
      /is not a whole image that can be decoded/,
    );
  });
});

describe("other ways to draw", () => {
  test("a model trained in bfloat16 draws what one trained in float32 does: images are those of the seed on any processor", () => {
    const [rounded, exact] = (["bfloat16", "float32"] as const).map((precision) => {
      const trained = { ...config, precision };
      return new ImageGenerator(trained, spec, { iqvae, transformer });
    });
    expect(rounded!.draw([one, two], { seed: 5 })).toEqual(exact!.draw([one, two], { seed: 5 }));
  });

  test("in bfloat16, where it is asked for, it draws other images, nearer than those of another seed", () => {
    const rounded = new ImageGenerator(config, spec, { iqvae, transformer }, { precision: "bfloat16" });
    const drawn = (from: ImageGenerator, seed: number) =>
      from
        .draw([one, two], { samples: 8, seed, temperature: 0.3 })
        .flatMap((images) => images.flatMap((image) => [...image]));
    const apart = (a: readonly number[], b: readonly number[]) =>
      a.reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0) / a.length;
    const exact = drawn(generator, 5);
    const near = apart(drawn(rounded, 5), exact);
    expect(near).toBeGreaterThan(0);
    expect(near).toBeLessThan(apart(drawn(generator, 6), exact) / 2);
  });

  test("guidance 1 is drawing; another scale draws other images", () => {
    expect(generator.draw([one, two], { guidance: 1 })).toEqual(generator.draw([one, two]));
    expect(generator.draw([one, two], { guidance: 3 })).not.toEqual(generator.draw([one, two]));
  });

  test("a blend goes from the one condition to the other with the same random numbers", () => {
    const parts: number[] = [];
    const onProgress = (part: number) => parts.push(part);
    const [first, middle, last] = generator.blend(one, two, [0, 0.5, 1], { seed: 2, onProgress });
    // 16 tokens of each of three images.
    expect(parts).toEqual(Array.from({ length: 48 }, (_, i) => expect.closeTo((i + 1) / 48, 10)));
    const at = (condition: Uint8Array) => generator.draw([condition], { seed: 2, noise: { kind: "shared" } })[0];
    expect(first).toEqual(at(one));
    expect(last).toEqual(at(two));
    expect(middle).toHaveLength(1);

    const noise = { kind: "between", to: 9, share: 0.5 } as const;
    const [other] = generator.blend(one, two, [0], { seed: 2, noise });
    expect(other).toEqual(generator.draw([one], { seed: 2, noise })[0]);
    expect(other).not.toEqual(first);
  });

  test("the sliding window at the trained size draws what draw does, and larger images elsewhere", () => {
    const size = (height: number, width: number) => ({ size: { height, width } });
    const options = { samples: 2, seed: 7, temperature: 0.8 };
    expect(generator.drawLarger([one], { ...size(SIZE, SIZE), ...options })).toEqual(generator.draw([one], options));
    const wide = Uint8Array.from({ length: 40 * 64 }, () => Math.floor(random() * 13));
    const [images] = generator.drawLarger([wide], size(40, 64));
    expect(images![0]).toHaveLength(40 * 64 * 3);
    expect(() => generator.drawLarger([one], size(64, 64))).toThrow(
      'a condition of kind "semantic" is 4096 bytes [64, 64], but 1024 came',
    );
  });

  test.each([
    [33, "height must be a multiple of 8 pixels, and at least the 32 of the training, but is 33"],
    [36, "height must be a multiple of 8 pixels, and at least the 32 of the training, but is 36"],
    [24, "height must be a multiple of 8 pixels, and at least the 32 of the training, but is 24"],
    [0, "height must be a multiple of 8 pixels, and at least the 32 of the training, but is 0"],
    [40, 'pixel 0 holds 255, but a condition of kind "semantic" holds 0 to 12.'],
  ])("larger images of size %i are refused in pixels: %s", (height, message) => {
    const map = new Uint8Array(height * 40).fill(255);
    expect(() => generator.drawLarger([map], { size: { height, width: 40 } })).toThrow(new RangeError(message));
  });

  test("the likelihood of an image is that of its tokens", () => {
    const image = picture();
    const [found] = generator.likelihood([one], [image]);
    const nats = scope(() =>
      inferenceMode(() => {
        const tokens = iqvae.encodeImage(tensor(image, { shape: [1, SIZE, SIZE, 3] })).flatten(1);
        const condition = iqvae.encodeCondition(tensor(one, { shape: [1, SIZE, SIZE] })).flatten(1);
        const logits = transformer.forward(condition, tokens.slice(1, 0, 15)).log_softmax(-1);
        return -logits.gather(-1, tokens.unsqueeze(-1)).sum().item();
      }),
    );
    expect(found!.nats).toBeCloseTo(nats, 2);
    expect(found!.map).toHaveLength(16);
  });

  test("the likelihood of images of another size is refused, also where their bytes add up", () => {
    const [short, long] = [new Uint8Array(SIZE * SIZE * 3 - 3), new Uint8Array(SIZE * SIZE * 3 + 3)];
    for (const images of [
      [short, long],
      [long, short],
    ])
      expect(() => generator.likelihood([one, two], images)).toThrow(
        new RangeError(
          `likelihood() takes images of 32 × 32 RGB pixels (3072 bytes), but one has ${images[0]!.length} bytes`,
        ),
      );
  });
});

test("a generator leaves no tensor behind, but the weights of its models", () => {
  const left = (body: () => unknown): number => {
    const before = liveTensors();
    body();
    return liveTensors() - before;
  };
  const { image: shown, mask } = { image: picture(), mask: new Uint8Array(SIZE * SIZE).fill(1, 0, 256) };
  const ways = {
    draw: () => generator.draw([one, two], { guidance: 2 }),
    complete: () => generator.complete([one], [{ image: shown, mask }]),
    blend: () => generator.blend(one, two, [0.5], { noise: { kind: "between", to: 3, share: 0.5 } }),
    drawLarger: () => generator.drawLarger([one], { size: { height: SIZE, width: SIZE } }),
    likelihood: () => generator.likelihood([one], [shown]),
    "draw, given up": () =>
      expect(() =>
        generator.draw([one], {
          onProgress: () => {
            throw new Error("enough");
          },
        }),
      ).toThrow("enough"),
  };
  for (const [name, way] of Object.entries(ways)) {
    way(); // causal masks live as long as the program
    expect(left(way), name).toBe(0);
  }
  const checkpoints = temporaryFolder();
  const content = {
    step: 1,
    loader: { epoch: 0, position: 0 },
    means: { count: 0, sums: {} },
    trainer: {},
    evaluation: null,
  };
  saveCheckpoint(checkpoints, { ...content, stage: "stage1" }, new Map(prefixed("model.", iqvae.stateDict())));
  saveCheckpoint(checkpoints, { ...content, stage: "stage2" }, new Map(prefixed("ema.", transformer.stateDict())));
  const tensors = iqvae.stateDict().size + transformer.stateDict().size;
  expect(left(() => restoreModels({ path: checkpoints, checkpoints, config }))).toBe(tensors);
});

test("a generator that is disposed of releases both models, and says so when it is used", () => {
  const made = scope(() => new IqVae(config.stage1.model, conditionFor(spec, SIZE)));
  const other = new Transformer(transformerConfig(config.stage2), made.tokenShape(SIZE));
  const tensors = made.stateDict().size + other.stateDict().size;
  const before = liveTensors();
  const drawing = () => {
    using short = new ImageGenerator(config, spec, { iqvae: made, transformer: other });
    short.draw([one], { samples: 1 });
    return short;
  };
  const gone = drawing();
  expect(before - liveTensors()).toBe(tensors);
  expect(() => gone.draw([one])).toThrow("after its release");
});
