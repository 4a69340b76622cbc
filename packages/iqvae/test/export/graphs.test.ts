import { inferenceMode, ops, scope, type Tensor } from "@iqvae/torch";
import { Tensor as OrtTensor } from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { conditionFor } from "../../src/conditions/index.ts";
import { conditionSpec } from "../../src/data/index.ts";
import { temporaryFolder } from "../run/support.ts";
import { back, CASES, difference, feed, randomConditions, randomModels, session, writeGraphs } from "./support.ts";

const BATCH = 3;

describe.each(CASES)("%s", (_, config) => {
  test("condition.onnx gives libtorch's tokens, image.onnx its pixels, for any number of them", async () => {
    const folder = temporaryFolder();
    const models = randomModels(config);
    writeGraphs(folder, config, models);
    const [condition, image] = [await session(folder, "condition.onnx"), await session(folder, "image.onnx")];
    const kind = conditionFor(conditionSpec(config.data), config.data.size);
    const off = { bytes: 0, of: 0 };
    // Enough bytes to tell: with weights of chance, 0.3 to 0.8 of 10,000 were off.
    for (const count of [1, 31]) {
      const samples = randomConditions(config, count);
      const { tokens } = await condition.run({ planes: feed(kind.toPlanes(samples)) });
      expect(tokens!.data).toEqual(models.iqvae.encodeCondition(samples).read("int64"));

      const [h, w] = models.iqvae.image.gridFor([config.data.size, config.data.size]);
      const drawn = ops.aten.randint(0, models.iqvae.imageCodes, [count, h, w]);
      const given = config.stage1.model.coupled ? models.iqvae.encodeCondition(samples) : null;
      const { pixels } = await image.run({ tokens: feed(drawn), ...(given && { condition: feed(given) }) });
      const wanted = models.iqvae.decodeImage(drawn, given);
      expect(pixels!.dims).toEqual(wanted.shape);
      const apart = back(pixels!).to("int64").sub(wanted.to("int64")).abs();
      expect(apart.amax().item()).toBeLessThanOrEqual(1);
      off.bytes += apart.sum().item();
      off.of += wanted.numel();
    }
    expect(off.bytes / off.of).toBeLessThanOrEqual(1e-4);
  });

  test("transformer.onnx gives libtorch's logits, at once or in parts, and step.onnx after it", async () => {
    const folder = temporaryFolder();
    const models = randomModels(config);
    writeGraphs(folder, config, models);
    const { transformer } = models;
    const { conditionCodes, imageCodes, conditionTokens: P, imageTokens } = transformer.tokens;
    const { heads, width, layers } = transformer.config;
    const D = width / heads;
    const names = Array.from({ length: layers }, (_, i) => [`${i}.key`, `${i}.value`]).flat();
    const whole = await session(folder, "transformer.onnx");
    const step = await session(folder, "step.onnx");
    for (const count of [1, BATCH]) {
      const condition = ops.aten.randint(0, conditionCodes, [count, P]);
      const image = ops.aten.randint(0, imageCodes, [count, imageTokens - 1]);
      const wanted = scope(() => inferenceMode(() => transformer.forward(condition, image)));
      const none = new OrtTensor("int64", new BigInt64Array(0), [count, 0]);
      const empty = Object.fromEntries(
        names.map((name) => [`past.${name}`, new OrtTensor("float32", new Float32Array(0), [count, heads, 0, D])]),
      );

      const atOnce = await whole.run({ condition: feed(condition), image: feed(image), ...empty });
      expect(atOnce.logits!.dims).toEqual([count, imageTokens, imageCodes]);
      expect(difference(back(atOnce.logits!), wanted)).toBeLessThan(1e-4);

      const first = await whole.run({ condition: feed(condition), image: none, ...empty });
      expect(first.logits!.dims).toEqual([count, 1, imageCodes]);
      expect(difference(back(first.logits!), wanted.slice(1, 0, 1))).toBeLessThan(1e-4);

      const past = Object.fromEntries(names.map((name) => [`past.${name}`, first[`present.${name}`]!]));
      const some = 5;
      const next = await whole.run({ condition: none, image: feed(image.slice(1, 0, some)), ...past });
      expect(next.logits!.dims).toEqual([count, some, imageCodes]);
      expect(difference(back(next.logits!), wanted.slice(1, 1, some + 1))).toBeLessThan(1e-4);

      // Buffers of the greatest length, with numbers behind the end that must not matter.
      const room = P + imageTokens - 1;
      const buffers = new Map(
        names.map((name): [string, Tensor] => {
          const buffer = ops.aten.full([count, heads, room, D], 1e3, { dtype: "float32" });
          buffer.slice(2, 0, P).copy_(back(first[`present.${name}`]!));
          return [name, buffer];
        }),
      );
      for (let t = 0; t < imageTokens - 1; t++) {
        const out = await step.run({
          token: feed(image.select(1, t)),
          past_length: new OrtTensor("int64", BigInt64Array.of(BigInt(P + t)), [1]),
          ...Object.fromEntries(names.map((name) => [`past.${name}`, feed(buffers.get(name)!)])),
        });
        expect(difference(back(out.logits!), wanted.select(1, t + 1))).toBeLessThan(1e-4);
        for (const name of names)
          buffers
            .get(name)!
            .slice(2, P + t, P + t + 1)
            .copy_(back(out[`new.${name}`]!));
      }
    }
  });
});
