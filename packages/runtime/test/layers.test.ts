import type { Module } from "@iqvae/torch";
import { conditionFor, conditionSpec, IqVae, loadConfig, Transformer } from "iqvae";
import { expect, test } from "vitest";
import { weightShapes } from "../src/layers.ts";

const shapesOf = (module: Module) => [...module.stateDict()].map(([name, { shape }]) => [name, [...shape]] as const);
/** What only training, reading images and writing conditions need. */
const UNUSED =
  /^(image\.encoder|condition\.decoder|image\.quantizer\.down|condition\.quantizer\.up|.*\.(counts|sums|placed)$)/;

test.each([
  ...["tiny", "start", "faces-lines", "hands", "scenes", "words", "speech"].map((preset) => ({ preset, settings: [] })),
  { preset: "tiny", settings: ["stage1.model.coupled=true"] },
])(
  "the weights of $preset $settings are those of its modules, without what drawing has no use for",
  async ({ preset, settings }) => {
    const config = await loadConfig(preset, settings);
    const spec = conditionSpec(config.data);
    const { size } = config.data;
    const iqvae = new IqVae(config.stage1.model, conditionFor(spec, size));
    const transformer = new Transformer(
      { ...config.stage2.model, unconditional: config.stage2.conditionDropout > 0 },
      iqvae.tokenShape(size),
    );
    const { layers, width, heads } = config.stage2.model;
    const shapes = weightShapes({
      condition: spec,
      grids: { condition: iqvae.conditionGrid, image: iqvae.image.gridFor([size, size]) },
      autoencoders: config.stage1.model,
      transformer: { layers, width, heads, unconditional: config.stage2.conditionDropout > 0 },
    });
    const expected = [
      ...shapesOf(iqvae).filter(([name]) => !UNUSED.test(name)),
      ...shapesOf(transformer).map(([name, shape]) => [`transformer.${name}`, shape] as const),
    ];
    expect(Object.fromEntries(shapes)).toEqual(Object.fromEntries(expected));
  },
);
