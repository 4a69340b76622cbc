import { manualSeed, ops } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import { lines } from "../../src/conditions/lines.ts";
import { semantic } from "../../src/conditions/semantic.ts";
import { Decoder, Encoder, reduction } from "../../src/models/autoencoder.ts";
import { IqVae, toPixels, toUnitRange } from "../../src/models/iqvae.ts";

describe.each([
  { channels: 16, multipliers: [1, 2], blocks: 1, patch: 2 },
  { channels: 8, multipliers: [1, 1, 2, 2, 4], blocks: 1, patch: 1 },
  { channels: 16, multipliers: [2], blocks: 2, patch: 4 },
])("encoder and decoder of %j", (config) => {
  test("mirror each other", () => {
    const encoder = new Encoder(5, config);
    const features = encoder.forward(ops.aten.randn([2, 5, 32, 32]));
    const side = 32 / reduction(config);
    expect(features.shape).toEqual([2, encoder.width, side, side]);
    expect(new Decoder(7, config).forward(features).shape).toEqual([2, 7, 32, 32]);
  });

  test("a code sees nothing that lies far away, and every pixel that it stands for", () => {
    manualSeed(2);
    const encoder = new Encoder(1, config);
    const picture = ops.aten.randn([1, 1, 32, 32]);
    picture.requiresGrad = true;
    encoder.forward(picture).slice(2, 0, 1).slice(3, 0, 1).sum().backward();
    const reach = picture.grad!.abs().squeeze();
    const r = reduction(config);
    expect(reach.slice(0, 0, r).slice(1, 0, r).min().item()).toBeGreaterThan(0);
  });
});

test("pixels survive the way in and out", () => {
  manualSeed(4);
  const pixels = ops.aten.randint(256, [2, 8, 8, 3]).to("uint8");
  expect(toPixels(toUnitRange(pixels)).eq(pixels).all().item()).toBe(1);
});

test("codes of both halves go in and out", () => {
  const half = { channels: 16, multipliers: [1, 2], blocks: 1, patch: 2, codes: 32, codeDim: 8 };
  const model = new IqVae({ image: half, condition: { ...half, codes: 16 } }, semantic(5));
  const codes = model.encodeImage(ops.aten.randint(256, [2, 16, 16, 3]).to("uint8"));
  expect(codes.shape).toEqual([2, 4, 4]);
  expect(model.decodeImage(codes).shape).toEqual([2, 16, 16, 3]);
  const raster = ops.aten.randint(5, [2, 16, 16]).to("uint8");
  const drawn = model.decodeCondition(model.encodeCondition(raster));
  expect([drawn.shape, drawn.dtype]).toEqual([[2, 16, 16], "uint8"]);
});

describe("conditions", () => {
  const map = ops.aten.randint(4, [3, 6, 6]).to("uint8");

  test("a map becomes one plane a class, of which one is set", () => {
    const planes = semantic(4).toPlanes(map);
    expect(planes.shape).toEqual([3, 4, 6, 6]);
    expect(planes.sum([1]).eq(1).all().item()).toBe(1);
    expect(semantic(4).fromLogits(planes).eq(map).all().item()).toBe(1);
  });

  test("the loss of a map is the cross-entropy: ln 4 when nothing is known, near 0 when all is", () => {
    const condition = semantic(4);
    expect(condition.loss(ops.aten.zeros([3, 4, 6, 6]), map).item()).toBeCloseTo(Math.log(4), 5);
    expect(condition.loss(condition.toPlanes(map).mul(50), map).item()).toBeLessThan(1e-6);
  });

  test("lines: ln 2 when nothing is known, near 0 when all is", () => {
    const condition = lines("lines");
    const drawing = map.gt(1).to("uint8");
    expect(condition.loss(ops.aten.zeros([3, 1, 6, 6]), drawing).item()).toBeCloseTo(Math.log(2), 5);
    const sure = condition.toPlanes(drawing).mul(100).sub(50);
    expect(condition.loss(sure, drawing).item()).toBeLessThan(1e-6);
    expect(condition.fromLogits(sure).eq(drawing).all().item()).toBe(1);
  });
});
