import { autocast, manualSeed, noGrad, ops } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import { semantic } from "../../src/conditions/semantic.ts";
import { Decoder, Encoder, reduction } from "../../src/models/autoencoder.ts";
import { IqVae, toPixels, toUnitRange, VqAutoencoder } from "../../src/models/iqvae.ts";

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

describe.each([1, 2, 4])("a sequence, %i bytes a position", (patch) => {
  const config = { channels: 8, multipliers: [1, 2], blocks: 1, patch };

  test("is reduced along its length only, and mirrored", () => {
    const encoder = new Encoder(5, config, "width");
    const features = encoder.forward(ops.aten.randn([2, 5, 1, 16]));
    expect(features.shape).toEqual([2, encoder.width, 1, 16 / reduction(config)]);
    expect(new Decoder(7, config, "width").forward(features).shape).toEqual([2, 7, 1, 16]);
  });

  test("has kernels along its length only", () => {
    for (const [name, weight] of new Encoder(5, config, "width").namedParameters()) {
      if (weight.shape.length === 4) expect(weight.shape[2], name).toBe(1);
    }
  });

  test("is the middle row of what square kernels give that are 0 above and below", () => {
    manualSeed(6);
    const decoder = new Decoder(3, { ...config, patch: 1 }, "width");
    const square = new Decoder(3, { ...config, patch: 1 });
    for (const [name, weight] of decoder.stateDict()) {
      const target = square.stateDict().get(name)!.detach();
      noGrad(() => {
        if (weight.shape.length === 4 && target.shape[2] === 3) target.zero_().slice(2, 1, 2).copy_(weight);
        else target.copy_(weight);
      });
    }
    const features = ops.aten.randn([2, 16, 1, 8]);
    // Upsampling doubles the height: the square decoder's rows see zeros or each other with weight 0.
    const [line, plane] = [decoder.forward(features), square.forward(features)];
    expect(
      line
        .sub(plane.slice(2, 0, 1))
        .abs()
        .max()
        .item(),
    ).toBeLessThan(1e-4);
  });
});

test("grids of rectangles and sequences", () => {
  const half = { channels: 8, multipliers: [1, 2], blocks: 1, patch: 2, codes: 16, codeDim: 4 };
  expect(new VqAutoencoder(1, 1, half).gridFor([16, 64])).toEqual([4, 16]);
  expect(new VqAutoencoder(1, 1, half, "width").gridFor([1, 64])).toEqual([1, 16]);
  const codes = new VqAutoencoder(1, 1, half).encode(ops.aten.randn([3, 1, 16, 64]));
  expect(codes.shape).toEqual([3, 4, 16]);
});

test("pixels survive the way in and out", () => {
  manualSeed(4);
  const pixels = ops.aten.randint(256, [2, 8, 8, 3]).to("uint8");
  expect(toPixels(toUnitRange(pixels)).eq(pixels).all().item()).toBe(1);
});

test("codes of both halves go in and out", () => {
  const half = { channels: 16, multipliers: [1, 2], blocks: 1, patch: 2, codes: 32, codeDim: 8 };
  const model = new IqVae(
    { image: half, condition: { ...half, codes: 16 } },
    semantic(Array(5).fill({ name: "", color: [0, 0, 0] }), 16),
  );
  const codes = model.encodeImage(ops.aten.randint(256, [2, 16, 16, 3]).to("uint8"));
  expect(codes.shape).toEqual([2, 4, 4]);
  expect(model.decodeImage(codes, null).shape).toEqual([2, 16, 16, 3]);
  const raster = ops.aten.randint(5, [2, 16, 16]).to("uint8");
  const drawn = model.decodeCondition(model.encodeCondition(raster));
  expect([drawn.shape, drawn.dtype]).toEqual([[2, 16, 16], "uint8"]);
});

test.each(["float32", "bfloat16"] as const)("polishing in %s teaches the layer behind the codes, too", (precision) => {
  const config = { channels: 8, multipliers: [1, 2], blocks: 1, patch: 2, codes: 16, codeDim: 4 };
  const half = new VqAutoencoder(1, 1, config);
  const planes = ops.aten.randn([2, 1, 8, 8]);
  const { output } = autocast({ enabled: precision === "bfloat16" }, () => half.quantize(planes, "polish"));
  output.to("float32").square().sum().backward();
  expect(half.quantizer.up.weight.grad?.abs().sum().item()).toBeGreaterThan(0);
});
