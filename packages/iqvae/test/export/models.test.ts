import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ImageGenerator } from "@iqvae/runtime";
import { expect, test } from "vitest";

const folder = fileURLToPath(new URL("../../../../models", import.meta.url));
const names = readdirSync(folder).filter((name) => statSync(join(folder, name)).isDirectory());

test("npm start has a model to draw with", () => expect(names).toContain("start"));

test.each(names)("%s is whole and small, has a card, and draws for its examples", async (name) => {
  const files = readdirSync(join(folder, name));
  const bytes = files.reduce((sum, file) => sum + statSync(join(folder, name, file)).size, 0);
  expect(bytes).toBeLessThan(16e6);
  expect(readFileSync(join(folder, name, "README.md"), "utf8")).toContain(`# ${name}`);
  await using generator = await ImageGenerator.load(join(folder, name));
  expect(generator.examples).toHaveLength(8);
  const [first, second] = generator.examples as [Uint8Array, Uint8Array];
  const [own, other] = await generator.draw([first, second], { seed: 1 });
  for (const image of [own![0]!, other![0]!]) {
    expect(image).toHaveLength(generator.model.size ** 2 * 3);
    expect(new Set(image).size).toBeGreaterThan(20);
  }
  expect(own).not.toEqual(other);
  expect(await generator.draw([first], { seed: 1 })).toEqual([own]);
});
