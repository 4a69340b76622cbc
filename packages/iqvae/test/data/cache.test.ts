import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { dataLicenses, openDataset } from "../../src/data/index.ts";

/** What the next file operation fails with: the code of a system error and the number of writes that still work. */
const fault = vi.hoisted((): { code: string | null; writesLeft: number } => ({ code: null, writesLeft: 0 }));

vi.mock("node:fs", async (original) => {
  const real = await original<typeof import("node:fs")>();
  const writeSync = (...args: unknown[]) => {
    if (fault.code !== null && fault.writesLeft-- <= 0)
      throw Object.assign(new Error("injected"), { code: fault.code, syscall: "write" });
    return (real.writeSync as (...args: unknown[]) => number)(...args);
  };
  return { ...real, writeSync };
});

let cacheDir: string;
beforeEach(async () => {
  cacheDir = await mkdtemp(join(tmpdir(), "iqvae-cache-"));
  fault.code = null;
});
afterEach(() => rm(cacheDir, { recursive: true }));

const messages: string[] = [];
const request = (count = 6) =>
  ({
    name: "faces",
    condition: "semantic",
    size: 32,
    count,
    cacheDir,
    onMessage: (message: string) => messages.push(message),
  }) as const;

/** Opens the data set, reads all of it and closes it; counts the pairs that had to be drawn. */
async function readAll(count?: number) {
  messages.length = 0;
  let drawn = 0;
  const dataset = await openDataset({ ...request(count), onProgress: () => drawn++ });
  const parts = [dataset.train, dataset.validation].map((part) => part.batch([...Array(part.length).keys()]));
  dataset.close();
  return { parts, drawn };
}

const cacheFile = async () => join(cacheDir, (await readdir(cacheDir))[0]!);

describe("the cache", () => {
  it("draws once and reads ever after", async () => {
    const first = await readAll();
    const second = await readAll();
    expect([first.drawn, second.drawn]).toEqual([6, 0]);
    expect(second.parts).toEqual(first.parts);
    expect(await readdir(cacheDir)).toHaveLength(1);
  });

  it("reports progress to the last pair", async () => {
    const seen: string[] = [];
    const dataset = await openDataset({ ...request(3), onProgress: (done, total) => seen.push(`${done}/${total}`) });
    dataset.close();
    expect(seen).toEqual(["1/3", "2/3", "3/3"]);
  });

  it("reads pairs in any order, with repeats", async () => {
    const dataset = await openDataset(request(20));
    const { train, size } = dataset;
    const all = train.batch([...Array(train.length).keys()]);
    fc.assert(
      fc.property(fc.array(fc.nat(train.length - 1), { maxLength: 9 }), (numbers) => {
        const { images, conditions } = train.batch(numbers);
        expect(conditions).toHaveLength(numbers.length * size ** 2);
        numbers.forEach((number, i) => {
          const at = (bytes: Uint8Array, row: number, length: number) =>
            bytes.subarray(row * length, (row + 1) * length);
          expect(at(images, i, 3072)).toEqual(at(all.images, number, 3072));
          expect(at(conditions, i, 1024)).toEqual(at(all.conditions, number, 1024));
        });
      }),
      { numRuns: 30 },
    );
    expect(() => train.batch([0, train.length])).toThrow(
      `train.batch: expected numbers from 0 to ${train.length - 1}, got ${train.length}.`,
    );
    dataset.close();
  });

  it("is closed once, and then touches no file that was opened since", async () => {
    const closed = await openDataset(request(6));
    closed.close();
    const other = await openDataset({ ...request(6), seed: 1 });
    const files = await readdir(cacheDir);
    expect(() => closed.train.batch([0])).toThrow(/^The data set of .*\.pairs was closed: open it again/);
    closed.close();
    expect(other.train.batch([0]).images).toHaveLength(3072);
    expect(await readdir(cacheDir)).toEqual(files);
    other.close();
  });

  it("finds every bit that is wrong and every cut, at the latest when the pair is read, and draws anew", async () => {
    const good = await readAll();
    const path = await cacheFile();
    const bytes = await readFile(path);
    const damage = fc.record({ at: fc.nat(bytes.length - 1), bit: fc.nat(7), cut: fc.boolean() });
    let whenRead = 0;
    await fc.assert(
      fc.asyncProperty(damage, async ({ at, bit, cut }) => {
        const damaged = Buffer.from(cut ? bytes.subarray(0, at) : bytes);
        if (!cut) damaged[at]! ^= 1 << bit;
        await writeFile(path, damaged);
        const first = await readAll().catch((error: Error) => error);
        if (first instanceof Error) {
          expect(first.message).toMatch(
            /^The cache file .* is damaged: pair \d \(face-0-\d\) does not match its checksum/,
          );
          whenRead++;
        } else {
          expect(messages).toHaveLength(1);
          expect(messages[0]).toMatch(/^The cache file .* cannot be used: .*\. Its pairs are drawn anew\.$/);
        }
        const { parts, drawn } = first instanceof Error ? await readAll() : first;
        expect(drawn).toBe(6);
        expect(parts).toEqual(good.parts);
        expect(await readFile(path)).toEqual(bytes);
      }),
      { numRuns: 25 },
    );
    expect(whenRead).toBeGreaterThan(0);
  });

  it("names the one damaged pair, and reads the others", async () => {
    const dataset = await openDataset(request());
    const path = await cacheFile();
    const bytes = await readFile(path);
    bytes[100]! ^= 1;
    await writeFile(path, bytes);
    const parts = [dataset.train, dataset.validation];
    const first = parts.find((part) => part.ids.includes("face-0-0"))!;
    const number = first.ids.indexOf("face-0-0");
    for (const part of parts)
      for (const i of part.ids.keys())
        if (part !== first || i !== number) expect(part.batch([i]).images).toHaveLength(3072);
    expect(() => first.batch([number])).toThrow(/pair 0 \(face-0-0\).*has been removed/);
    expect(await readdir(cacheDir)).toEqual([]);
    dataset.close();
  });

  it("is opened without its records being read", async () => {
    await readAll();
    const path = await cacheFile();
    const bytes = await readFile(path);
    bytes.fill(0, 20, 20 + 6 * 4000);
    await writeFile(path, bytes);
    messages.length = 0;
    const dataset = await openDataset(request());
    expect([dataset.train.length + dataset.validation.length, messages]).toEqual([6, []]);
    dataset.close();
  });

  it.each([
    [
      "no cache file",
      () => Buffer.from("GIF89a, a picture of something else that is long enough to be read"),
      "it is not a cache file of this version",
    ],
    ["an empty file", () => Buffer.alloc(0), "it is only 0 bytes long"],
    [
      "a changed index",
      (own: Buffer) => Buffer.from(own.toString("latin1").replace("facesjs", "facesJS"), "latin1"),
      "the checksum of its index does not match",
    ],
    ["a file with more behind it", (own: Buffer) => Buffer.concat([own, own]), "its records take"],
  ])("says what is wrong with %s", async (_, forge, reason) => {
    await readAll();
    const path = await cacheFile();
    await writeFile(path, forge(await readFile(path)));
    expect((await readAll()).drawn).toBe(6);
    expect(messages[0]).toContain(reason);
  });

  it("says that a file was drawn from another recipe", async () => {
    await readAll(7);
    const other = await readFile(await cacheFile());
    await rm(await cacheFile());
    await readAll();
    await writeFile(await cacheFile(), other);
    expect((await readAll()).drawn).toBe(6);
    expect(messages[0]).toContain("it was drawn from another recipe");
  });

  it.each([
    ["ENOSPC", "the disk is full"],
    ["EROFS", "read-only disk"],
    ["EACCES", "the permissions do not allow it"],
  ])("leaves nothing behind after %s, wherever it strikes, and says what to do", async (code, reason) => {
    for (const writesLeft of [0, 1, 4, 7]) {
      fault.code = code;
      fault.writesLeft = writesLeft;
      const failed = await readAll().catch((error: Error) => error.message);
      for (const part of [`Could not write ${cacheDir}/faces-semantic-32-`, reason, code, "1 MB", "IQVAE_CACHE"])
        expect(failed).toContain(part);
      expect(await readdir(cacheDir)).toEqual([]);
    }
    fault.code = null;
    expect((await readAll()).drawn).toBe(6);
  });

  it("says so when the folder is a file", async () => {
    const file = join(cacheDir, "file");
    await writeFile(file, "");
    const open = openDataset({ ...request(), cacheDir: join(file, "below") });
    await expect(open).rejects.toThrow(/Could not write .*: a part of the path is a file/);
  });

  it("clears away what a killed process left, but not what another one is writing", async () => {
    await readAll();
    const path = await cacheFile();
    await rm(path);
    await writeFile(`${path}.1.0.part`, "left long ago");
    await utimes(`${path}.1.0.part`, new Date(0), new Date(0));
    await writeFile(`${path}.2.0.part`, "being written");
    await readAll();
    expect((await readdir(cacheDir)).map((name) => name.replace(/^.*\.pairs/, ""))).toEqual(["", ".2.0.part"]);
    // The next one may have come too soon to tell; a later one finds the cache whole.
    await utimes(`${path}.2.0.part`, new Date(0), new Date(0));
    await readAll();
    expect((await readdir(cacheDir)).map((name) => name.replace(/^.*\.pairs/, ""))).toEqual([""]);
  });

  it("names a cache file that cannot be read", async () => {
    await readAll();
    const path = await cacheFile();
    await rm(path);
    await mkdir(path);
    await expect(readAll()).rejects.toThrow(`The cache file ${path} cannot be read: it is a folder. Move it away, or`);
  });
});

describe("openDataset", () => {
  it.each([
    [
      { name: "cats" },
      'name must be one of "faces", "emoji", "hands", "heroes", "scenes", "words", "speech", "earth", "earth-months", "cifar10", "fashion", "fashion-scenes", "photos", "stamps", "folder", "images", "ade20k", "celebamask-hq", "deepfashion", "coco-stuff", "cub-200-2011", "sub-urmp", not "cats".',
    ],
    [{ size: 48 }, "size of faces must be one of 32, 64, 128, 256, not 48."],
    [{ condition: "edges" }, 'condition of faces must be one of "semantic", "lines", not "edges".'],
    [{ name: "emoji" }, 'condition of emoji must be "edges", not "semantic".'],
    [{ split: "random" }, 'split must be one of "geometry", "unseen-parts", not "random".'],
    [{ count: 0 }, "count must be a whole number from 1 to 10000000, not 0."],
    [{ seed: 0.5 }, /^seed must be a whole number from .* not 0.5\.$/],
  ])("refuses %j by name", async (wrong, message) => {
    await expect(openDataset({ ...request(), ...wrong } as ReturnType<typeof request>)).rejects.toThrow(message);
  });

  it("records whose drawings these are, as THIRD_PARTY.md does", async () => {
    const text = await readFile(new URL("../../../../THIRD_PARTY.md", import.meta.url), "utf8");
    // With those of packages that have been fetched it would be more: into this cache none was.
    vi.stubEnv("IQVAE_CACHE", cacheDir);
    const licenses = dataLicenses();
    vi.unstubAllEnvs();
    expect(licenses).toHaveLength(9);
    for (const { package: name, version, author, license, url } of licenses) {
      const row = text.split("\n").find((line) => line.includes(`\`${name}\``));
      for (const entry of [version, author, license, url]) expect(row).toContain(entry);
    }
  });
});
