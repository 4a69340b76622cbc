import { inferenceMode, manualSeed, noGrad, ops, scope, type Tensor, tensor } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import { conditionFor } from "../../src/conditions/index.ts";
import { type Config, loadConfig } from "../../src/config/index.ts";
import { type ConditionSpec, conditionSpec } from "../../src/data/index.ts";
import { IqVae, toUnitRange } from "../../src/models/iqvae.ts";
import { Transformer } from "../../src/models/transformer.ts";
import { torchEngine } from "../../src/sampling/engine.ts";
import { ImageGenerator } from "../../src/sampling/generator.ts";
import { transformerConfig } from "../../src/stage2/config.ts";

const SIZE = 32;
const GRID = 4;

async function made(coupled: boolean): Promise<{ config: Config; spec: ConditionSpec; iqvae: IqVae }> {
  const config = await loadConfig("tiny", [`stage1.model.coupled=${coupled}`]);
  const spec = conditionSpec(config.data);
  manualSeed(3);
  return { config, spec, iqvae: new IqVae(config.stage1.model, conditionFor(spec, SIZE)) };
}

const codes = (below: number, count = 1) => ops.aten.randint(below, [count, GRID, GRID], { dtype: "int64" });
const differ = (a: Tensor, b: Tensor) => a.to("int64").sub(b.to("int64")).abs().sum().item();
const images = (count: number) => ops.aten.randint(256, [count, SIZE, SIZE, 3]).to("uint8");
const rasters = (count: number) => ops.aten.randint(13, [count, SIZE, SIZE]).to("uint8");

describe("an image's decoder that sees the condition's codes", () => {
  test("paints other pixels for other codes of the condition, where they differ, and refuses to go without", async () => {
    const { iqvae } = await made(true);
    const drawn = codes(iqvae.imageCodes);
    const given = codes(iqvae.conditionCodes);
    const plain = iqvae.decodeImage(drawn, given);
    expect(differ(iqvae.decodeImage(drawn, given), plain)).toBe(0);
    // Another code in the upper left corner: convolutions reach the pixels around it, group norms all a little.
    const other = given.clone();
    other.select(1, 0).select(1, 0).add_(1).remainder_(iqvae.conditionCodes);
    const changed = iqvae.decodeImage(drawn, other).to("int64").sub(plain.to("int64")).abs().to("float32");
    const corner = (from: number) =>
      changed
        .slice(1, from, from + 8)
        .slice(2, from, from + 8)
        .mean()
        .item();
    expect(corner(0)).toBeGreaterThan(1.5 * corner(24));
    expect(() => iqvae.decodeImage(drawn, null)).toThrow(
      "decodeImage: the image's decoder sees the condition's codes, but got none",
    );
  });

  test("adds one layer, and leaves all else as it is drawn without", async () => {
    const [plain, coupled] = [(await made(false)).iqvae, (await made(true)).iqvae];
    const added = [...coupled.namedParameters().keys()].filter((name) => !plain.namedParameters().has(name));
    expect(added).toEqual(["coupling.weight", "coupling.bias"]);
    for (const [name, weight] of plain.stateDict())
      expect(coupled.stateDict().get(name)!.eq(weight).all().item(), name).toBe(1);
    const drawn = codes(plain.imageCodes);
    const [a, b] = [codes(plain.conditionCodes), codes(plain.conditionCodes)];
    expect(differ(plain.decodeImage(drawn, a), plain.decodeImage(drawn, b))).toBe(0);
    expect(differ(plain.decodeImage(drawn, a), plain.decodeImage(drawn, null))).toBe(0);
  });

  test.each(["use", "polish"] as const)("reconstructs in mode %s what its tokens stand for", async (mode) => {
    const { iqvae, spec } = await made(true);
    const [pixels, samples] = [images(2), rasters(2)];
    const planes = conditionFor(spec, SIZE).toPlanes(samples);
    const { image } = iqvae.forward(toUnitRange(pixels), planes, mode);
    const painted = iqvae.decodeImage(iqvae.encodeImage(pixels), iqvae.encodeCondition(samples));
    const expected = toUnitRange(painted);
    const inside = image.reconstruction.clamp(-1, 1);
    expect(inside.sub(expected).abs().amax().item()).toBeLessThan(0.6 / 127.5);
  });

  test("teaches both encoders; in polishing, of what it sees, the layer between alone", async () => {
    for (const [mode, encoder] of [
      ["bypass", true],
      ["learn", true],
      ["polish", false],
    ] as const) {
      const { iqvae, spec } = await made(true);
      const planes = conditionFor(spec, SIZE).toPlanes(rasters(2));
      iqvae
        .forward(toUnitRange(images(2)), planes, mode)
        .image.reconstruction.square()
        .mean()
        .backward();
      const moved = (part: string) =>
        [...iqvae.namedParameters()].some(
          ([name, { grad }]) => name.startsWith(part) && grad != null && grad.abs().sum().item() > 0,
        );
      expect(moved("coupling."), mode).toBe(true);
      expect(moved("image.decoder."), mode).toBe(true);
      for (const half of ["image", "condition"]) expect(moved(`${half}.encoder.`), `${half}, ${mode}`).toBe(encoder);
      expect(moved("condition.decoder."), mode).toBe(false);
    }
  });

  test("sees, of everything that is drawn, the condition it is drawn for", async () => {
    const { iqvae, spec, config } = await made(true);
    const transformer = new Transformer(transformerConfig(config.stage2), iqvae.tokenShape(SIZE));
    noGrad(() => {
      for (const weight of transformer.namedParameters().values()) if (weight.ndim === 2) weight.mul_(8);
    });
    const generator = new ImageGenerator(config, spec, { iqvae, transformer });
    const conditions = [0, 1].map(() => rasters(1).read("uint8"));
    const given = conditions.map((bytes) => iqvae.encodeCondition(tensor(bytes, { shape: [1, SIZE, SIZE] })));
    /** What was given with each picture, as the number of the condition; −1 for none of both. */
    const seenBy = (draw: () => unknown): number[] => {
      const seen: number[] = [];
      const decode = iqvae.decodeImage.bind(iqvae);
      iqvae.decodeImage = (indices, own) => {
        for (let i = 0; i < indices.shape[0]!; i++)
          seen.push(given.findIndex((each) => each.select(0, 0).eq(own!.select(0, i)).all().item() === 1));
        return decode(indices, own);
      };
      draw();
      iqvae.decodeImage = decode;
      return seen;
    };
    const nothing = { image: new Uint8Array(SIZE * SIZE * 3), mask: new Uint8Array(SIZE * SIZE) };
    const size = { height: SIZE, width: SIZE };
    expect(seenBy(() => generator.draw(conditions, { samples: 2 }))).toEqual([0, 0, 1, 1]);
    expect(seenBy(() => generator.complete(conditions, [nothing, nothing]))).toEqual([0, 1]);
    expect(seenBy(() => generator.drawLarger(conditions, { size }))).toEqual([0, 1]);
    expect(seenBy(() => generator.blend(conditions[0]!, conditions[1]!, [0, 0.5, 0.6, 1]))).toEqual([0, 0, 1, 1]);
    const wide = { height: SIZE, width: 2 * SIZE };
    const both = Uint8Array.from({ length: 2 * SIZE * SIZE }, (_, i) => Math.floor(i / 7) % 13);
    expect(generator.drawLarger([both], { size: wide })[0]![0]!.length).toBe(2 * SIZE * SIZE * 3);

    const engine = torchEngine({ iqvae, transformer, precision: "float32", size: SIZE, planes: [SIZE, SIZE] });
    const tokens = Int32Array.from({ length: GRID * GRID }, (_, i) => i);
    const asTokens = (each: Tensor) => Int32Array.from(each.contiguous().read("int64"), Number);
    const pixels = (each: Tensor) =>
      scope(() =>
        inferenceMode(() =>
          iqvae
            .decodeImage(tensor(tokens, { shape: [1, GRID, GRID] }).to("int64"), each)
            .contiguous()
            .read("uint8"),
        ),
      );
    for (const each of given) expect(await engine.decode(tokens, asTokens(each))).toEqual(pixels(each));
    expect(pixels(given[0]!)).not.toEqual(pixels(given[1]!));
  });
});
