import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { noGrad, scope, tensor } from "@iqvae/torch";
import { expect, test } from "vitest";
import type { ImageSize } from "../../src/data/index.ts";
import type { AttributeSet } from "../../src/features/attribute-labels.ts";
import { openFeatureNetwork } from "../../src/features/open.ts";
import { SHIPPED, sha256Of } from "../../src/features/shipped.ts";
import { silent } from "../../src/support/progress.ts";
import { temporaryFolder } from "../run/support.ts";

const names = readdirSync(SHIPPED).flatMap((file) => (file.endsWith(".json") ? [file.replace(".json", "")] : []));

/** The first features of a picture from a formula, as they were when the network was added. */
const KNOWN: Readonly<Record<string, readonly number[]>> = {
  "attributes-emoji-32": [-0.2588, -0.0886, 0.1335, -0.1033, 1.0476, -0.0629],
  "attributes-emoji-64": [-0.092, -0.1479, -0.0561, -0.2172, 1.4084, 0.3817],
  "attributes-faces-32": [0.8705, 1.197, 0.8258, -0.0673, -0.2246, 1.1349],
  "attributes-faces-64": [-0.2447, 0.4862, -0.21, 0.1817, -0.2436, 0.1432],
};

test("every network that comes with the program is tested here", () => {
  expect(Object.keys(KNOWN).sort()).toEqual(names.sort());
});

test.each(names)("%s opens without training, and sees what it saw when it was added", async (name) => {
  const [, set, size] = /^attributes-(\w+)-(\d+)$/.exec(name) as unknown as [string, AttributeSet, string];
  const side = Number(size) as ImageSize;
  const cacheDir = join(temporaryFolder(), "none");
  const said: string[] = [];
  const progress = { ...silent, tell: (text: string) => said.push(text) };
  const network = await openFeatureNetwork({ kind: "attributes", set, size: side }, { cacheDir, progress });
  expect(said).toEqual([]);
  expect(existsSync(cacheDir)).toBe(false);
  expect(network.digest).toBe(sha256Of(join(SHIPPED, `${name}.safetensors`)));
  expect(JSON.parse(readFileSync(join(SHIPPED, `${name}.json`), "utf8")).sha256).toBe(network.digest);
  const picture = Uint8Array.from({ length: side * side * 3 }, (_, i) => (i * i + 7 * i) % 251);
  const features = scope(() =>
    noGrad(() => network.features(tensor(picture, { shape: [1, side, side, 3] })).read("float32")),
  );
  expect(features).toHaveLength(network.dims);
  KNOWN[name]!.forEach((value, i) => {
    expect(features[i], `feature ${i}`).toBeCloseTo(value, 3);
  });
});
