import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { layoutBytes } from "../../src/conditions/index.ts";
import { conceptOf } from "../../src/data/concepts.ts";
import type { PairDataset } from "../../src/data/index.ts";
import { agreementOf } from "../../src/metrics/fidelity/agreement.ts";
import { fidelityOf } from "../../src/metrics/fidelity/fidelity.ts";
import { Shelf, separate } from "../../src/metrics/fidelity/shelf.ts";
import { imageSet } from "../../src/metrics/image-set.ts";
import { silent } from "../../src/training/progress.ts";
import { SIDE, SPECS, squares } from "./squares.ts";

const folder = mkdtempSync(join(tmpdir(), "iqvae-follow-"));
afterAll(() => rmSync(folder, { recursive: true }));

const measureOf = async (dataset: PairDataset, steps: number) =>
  (await fidelityOf(dataset, { progress: silent, cacheDir: folder, steps }))!;

/** The figures of held-out images under their own conditions, and under those of others. */
async function ownAndShuffled(dataset: PairDataset, steps: number) {
  const measure = await measureOf(dataset, steps);
  const { length } = dataset.validation;
  const rows = Array.from({ length }, (_, i) => i);
  const { images, conditions } = dataset.validation.batch(rows);
  const others = dataset.validation.batch(rows.map((row) => (row + 1) % length)).conditions;
  const [own, shuffled] = [conditions, others].map((given) => measure.score(imageSet(images, SIDE), given));
  return { own: own!, shuffled: shuffled!, networks: Object.keys(measure.networks) };
}

describe("images that follow their conditions, and the same images under conditions of others", () => {
  test.each([
    ["semantic", 60, 0.9, 0.5],
    ["lines", 60, 0.9, 0.6],
    // Edges of one's own need not be those of the detector.
    ["edges", 60, 0.9, 0.6],
    ["keypoints", 150, 0.8, 0.3],
    ["layout", 200, 0.8, 0.2],
    // Chance is 1/8.
    ["text", 60, 0.9, 0.4],
  ] as const)(
    "%s",
    async (kind, steps, most, least) => {
      const { own, shuffled, networks } = await ownAndShuffled(squares(kind), steps);
      expect(networks).toEqual([expect.stringMatching(new RegExp(`^(reader|retriever)-squares-${kind}-32$`))]);
      for (const { label } of own) expect(label).toContain(networks[0]);
      expect(own[0]!.key).toBe("fidelity");
      expect(own[0]!.value).toBeGreaterThan(most);
      expect(shuffled[0]!.value).toBeLessThan(least);
      own.slice(1).forEach(({ value, better }, i) => {
        const other = shuffled[i + 1]!.value;
        if (better === "higher") expect(value).toBeGreaterThan(2 * other);
        else expect(value).toBeLessThan(other / 2);
      });
    },
    60_000,
  );

  test("audio, whose others are of other concepts", async () => {
    const { own, shuffled } = await ownAndShuffled(squares("audio", { name: "speech" }), 60);
    expect(own[0]!.label).toMatch(/^own audio found among 8, chance 0.13 \(retriever-speech-audio-32\)$/);
    expect(own[0]!.value).toBeGreaterThan(0.9);
    expect(shuffled[0]!.value).toBeLessThan(0.4);
  }, 60_000);
});
