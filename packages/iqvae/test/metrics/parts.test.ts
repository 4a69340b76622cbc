import { join } from "node:path";
import { readSafetensorsHeader } from "@iqvae/torch";
import { expect, test, vi } from "vitest";
import { parseConfig, presets } from "../../src/config/index.ts";
import { splitByHash } from "../../src/data/import/source.ts";
import { type HeldOutPart, heldOutPart, openDataset, type PairDataset } from "../../src/data/index.ts";
import type { FeatureNetwork } from "../../src/features/network.ts";
import type { Fidelity } from "../../src/metrics/fidelity/measure.ts";
import { modelFigures } from "../../src/metrics/model-figures.ts";
import { type ScoreOptions, scoreRun } from "../../src/metrics/score.ts";
import { readMetrics } from "../../src/run/metrics-log.ts";
import { createRun } from "../../src/run/run-folder.ts";
import { trainRun } from "../../src/run/train-run.ts";
import { ImageGenerator } from "../../src/sampling/generator.ts";
import { silent } from "../../src/support/progress.ts";
import { seededRandom } from "../../src/support/random.ts";
import { png, put, tree } from "../data/import/trees.ts";
import { temporaryFolder } from "../run/support.ts";

const SIDE = 32;
const PAIRS = 240;
const SAMPLES = 2;
const GROUND = 3;
/** Images of a part are of one brightness, and their maps show one class beside the ground. Training has all of them. */
const LOOKS = {
  selection: { shade: 128, label: 0 },
  tune: { shade: 25, label: 1 },
  report: { shade: 230, label: 2 },
} as const satisfies Record<HeldOutPart, object>;
const COLORS = [
  [128, 128, 128],
  [25, 25, 25],
  [230, 230, 230],
  [0, 0, 255],
] as const;
const hex = (color: readonly number[]) => `#${Buffer.from(color).toString("hex")}`;

/** The part of each pair that is held out. */
function partsOf(ids: readonly string[]): Map<string, HeldOutPart> {
  const heldOut = splitByHash(ids).flatMap(({ id, validation }) => (validation ? [id] : []));
  const dataset = { name: "folder", validation: { length: heldOut.length, ids: heldOut } } as unknown as PairDataset;
  const parts = Object.keys(LOOKS) as HeldOutPart[];
  return new Map(parts.flatMap((part) => heldOutPart(dataset, part).validation.ids.map((id) => [id, part] as const)));
}

/** A folder of pairs that look as their part does. */
async function painted(): Promise<string> {
  const path = tree({});
  const ids = Array.from({ length: PAIRS }, (_, i) => `${i}`);
  const parts = partsOf(ids);
  for (const [i, id] of ids.entries()) {
    const part = parts.get(id) ?? (Object.keys(LOOKS) as HeldOutPart[])[i % 3]!;
    const { shade, label } = LOOKS[part];
    const random = seededRandom(id);
    const edge = 4 + Math.floor(random() * 24);
    const value = () => shade + Math.floor(20 * (random() - 0.5));
    put(path, {
      [`image/${id}.png`]: await png(SIDE, SIDE, () => [value(), value(), value()]),
      [`condition/${id}.png`]: await png(SIDE, SIDE, (x) => COLORS[x < edge ? label : GROUND]),
    });
  }
  return path;
}

const mean = (values: ArrayLike<number>) => Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;

/** A feature network and a measure of fidelity that remember what they are shown: mean brightness, and classes. */
function instruments() {
  const shown: number[] = [];
  const followed: { readonly shade: number; readonly labels: readonly number[] }[] = [];
  const network: FeatureNetwork = {
    // By this name there are no perceptual distances.
    name: "inception-test",
    digest: "abc",
    dims: 4,
    features(pixels) {
      const [B] = pixels.shape as [number];
      shown.push(mean(pixels.read("uint8")));
      return pixels.to("float32").reshape([B, 4, -1]).mean([2]);
    },
    layers: () => [],
  };
  const fidelity: Fidelity = {
    networks: {},
    score(images, conditions) {
      followed.push({ shade: mean(images.pixels), labels: [...new Set(conditions)].sort() });
      return [{ key: "fidelity", label: "none", value: 0, better: "higher" }];
    },
  };
  return { shown, followed, options: { networks: [network], fidelity } satisfies Partial<ScoreOptions> };
}

test("training looks at its own held-out pairs alone, and every figure is of the part that was asked for", async () => {
  const cacheDir = temporaryFolder();
  process.env.IQVAE_CACHE = cacheDir;
  const classes = COLORS.map((color, i) => ({ name: `class ${i}`, color: hex(color) }));
  const { tiny } = presets;
  const config = parseConfig(
    {
      ...tiny,
      data: { name: "folder", path: await painted(), size: SIDE, condition: "semantic", classes },
      stage1: { ...tiny.stage1, steps: 6, rate: 1e-6 },
      stage2: { ...tiny.stage2, steps: 6 },
    },
    "test",
  );
  const run = createRun(join(temporaryFolder(), "run"), config);
  await trainRun(run, { progress: silent, interrupt: { requested: false } });
  const dataset = await openDataset(config.data);

  // Nearly untrained, it paints gray: far from black and white.
  const [stage1] = readMetrics(run.log.path).filter(({ stage, split }) => stage === "stage1" && split === "validation");
  expect(Number(stage1!.imageMse)).toBeLessThan(0.3);
  const { length } = heldOutPart(dataset, "selection").validation;
  const { models } = ImageGenerator.load(run);
  expect(readSafetensorsHeader(run.tokens).tensors.get("validation.images")!.shape).toEqual([
    length * models.transformer.tokens.imageTokens,
  ]);
  const draw = vi.spyOn(ImageGenerator.prototype, "draw");
  for (const part of ["tune", "report"] as const) {
    const { shade, label } = LOOKS[part];
    const { shown, followed, options } = instruments();
    const { figures, settings } = await scoreRun(run, { conditions: 500, samples: SAMPLES, seed: 1, part, ...options });
    const own = heldOutPart(dataset, part);
    const rows = own.validation.ids.map((_, row) => row);
    expect(settings).toMatchObject({ part, conditions: rows.length });

    // Training images of all shades, gray ones that were drawn or reconstructed, and of the held-out ones only its own.
    const near = (other: number) => shown.filter((each) => Math.abs(each - other) < 5).length;
    expect(near(shade), part).toBeGreaterThan(0);
    expect(near(255 - shade), part).toBe(0);
    expect(followed).toHaveLength(2);
    expect(Math.abs(followed[1]!.shade - shade), part).toBeLessThan(5);
    for (const { labels } of followed) expect(labels, part).toEqual([label, GROUND]);
    const drawn = draw.mock.calls.flatMap(([rasters]) => rasters.map((raster) => raster[0]));
    expect(drawn, part).toEqual(rows.map(() => label));
    draw.mockClear();

    const value = (key: string) => figures.find((figure) => figure.key === key)!.value;
    const alone = rows.map((row) => modelFigures(models, config, own, [row]));
    expect(value("psnr"), part).toBeCloseTo(mean(alone.map(({ psnr }) => psnr)), 5);
    expect(value("ssim"), part).toBeCloseTo(mean(alone.map(({ ssim }) => ssim)), 5);
    expect(value("bitsPerToken"), part).toBeCloseTo(mean(alone.map(({ bitsPerToken }) => bitsPerToken)), 4);
    expect(value("condition.accuracy"), part).toBeCloseTo(mean(alone.map(({ condition }) => condition.accuracy!)), 5);
    const { codebook } = modelFigures(models, config, own, rows);
    for (const half of ["image", "condition"] as const) {
      expect(value(`codebook.${half}.perplexity`), part).toBeCloseTo(codebook[half].perplexity, 5);
    }
  }
  draw.mockRestore();
  dataset.close();
});
