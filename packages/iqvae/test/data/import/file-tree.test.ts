import { mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { contentsOf } from "../../../src/data/import/readers/contents.ts";
import { FileTree, PICTURES } from "../../../src/data/import/readers/file-tree.ts";
import { importRecipe } from "../../../src/data/import/recipe.ts";
import { importSchema } from "../../../src/data/import/requests.ts";
import { type OpenImport, openDataset } from "../../../src/data/index.ts";
import { temporaryFolder } from "../../run/support.ts";
import { importOf, jpeg, pairsOf, png, put, tree } from "./trees.ts";

/** A folder or a file that cannot be looked at, one that cannot be read, and one that cannot for once: root may do any of it. */
const locked = vi.hoisted((): { [what in "folder" | "file" | "read" | "once"]?: string | undefined } => ({}));

vi.mock("node:fs", async (original) => {
  const real = await original<typeof import("node:fs")>();
  const readdirSync = (...args: unknown[]) => {
    if (args[0] === locked.folder)
      throw Object.assign(new Error("EACCES: permission denied"), { code: "EACCES", syscall: "scandir" });
    return (real.readdirSync as (...args: unknown[]) => unknown)(...args);
  };
  const statSync = (...args: unknown[]) => {
    if (args[0] === locked.file)
      throw Object.assign(new Error("EACCES: permission denied"), { code: "EACCES", syscall: "stat" });
    return (real.statSync as (...args: unknown[]) => unknown)(...args);
  };
  const denied = () => Object.assign(new Error("EACCES: permission denied"), { code: "EACCES", syscall: "open" });
  const accessSync = (...args: Parameters<typeof real.accessSync>) => {
    if (args[0] === locked.read) throw denied();
    return real.accessSync(...args);
  };
  const createReadStream = (...args: Parameters<typeof real.createReadStream>) => {
    if (args[0] === locked.read || args[0] === locked.once) {
      locked.once = undefined;
      throw denied();
    }
    return real.createReadStream(...args);
  };
  return { ...real, readdirSync, statSync, accessSync, createReadStream };
});

/** Names as Linux has them: any bytes. Not all file systems in memory allow them. */
function folderOfBytes(): string {
  const root = mkdtempSync(join(tmpdir(), "iqvae-bytes-"));
  onTestFinished(() => rmSync(root, { recursive: true }));
  return root;
}

describe("a tree of files", () => {
  test("what cannot be read is named, and the rest is listed", () => {
    const root = folderOfBytes();
    put(root, { "a.png": "1", "b/c.png": "2", "locked/d.png": "3", "b/notes.txt": "" });
    symlinkSync("itself.png", join(root, "itself.png"));
    symlinkSync("nowhere.png", join(root, "b/dangling.png"));
    symlinkSync("..", join(root, "b/above"));
    writeFileSync(
      Buffer.concat([Buffer.from(`${root}/b/`), Buffer.from([0x6d, 0xe4, 0x68, 0x2e, 0x70, 0x6e, 0x67])]),
      "4",
    );
    locked.folder = join(root, "./locked");
    onTestFinished(() => {
      locked.folder = undefined;
    });
    const files = new FileTree(root);
    expect(files.list(".", PICTURES)).toEqual(["./a.png", "./b/c.png"]);
    expect(Object.fromEntries(files.leftOut.map(({ name, reason }) => [name, reason]))).toEqual({
      "./b/dangling.png": "there is no such file",
      "./b/m\ufffdh.png": "its name is not UTF-8",
      "./itself.png": "it is a link that leads back to itself",
      "./locked": "it may not be read",
    });
  });

  test("a link to a folder beside is followed, as often as there is one, but none that leads back", () => {
    const root = tree({ "condition/day/a.png": "", "condition/day/deep/b.png": "", "elsewhere/c.png": "" });
    for (const [to, at] of [
      ["day", "condition/night"],
      ["day/deep", "condition/noon"],
      [".", "condition/self"],
      ["../..", "condition/day/back"],
      ["../elsewhere", "condition/other"],
      ["../condition", "elsewhere/again"],
      [root, "condition/all"],
    ] as const)
      symlinkSync(to, join(root, at));
    const files = new FileTree(root);
    expect(files.list("condition", PICTURES)).toEqual([
      "condition/day/a.png",
      "condition/day/deep/b.png",
      "condition/night/a.png",
      "condition/night/deep/b.png",
      "condition/noon/b.png",
      "condition/other/c.png",
    ]);
    expect(
      files
        .list(".", PICTURES, { once: true })
        .map((file) => file.slice(-5))
        .sort(),
    ).toEqual(["a.png", "b.png", "c.png"]);
    expect(files.leftOut).toEqual([]);
  });

  test("a folder that all depends on must be there, and readable", () => {
    const root = tree({ "images/a.png": "" });
    expect(() => new FileTree(root).list("maps")).toThrow(/maps is not there. Give the folder .* that holds maps\//);
    expect(() => new FileTree(root).list("images/a.png")).toThrow(/is not a folder/);
    locked.folder = join(root, "images");
    onTestFinished(() => {
      locked.folder = undefined;
    });
    expect(() => new FileTree(root).list("images")).toThrow(/images cannot be read: it may not be read/);
  });
});

test("an import goes on where a tree of pictures has broken links and odd names", async () => {
  const root = folderOfBytes();
  const picture = await jpeg(40, 40, (x) => [x * 6, 0, 0]);
  put(root, Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`${i}.jpg`, picture])));
  symlinkSync("loop", join(root, "loop"));
  writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff, 0x2e, 0x6a, 0x70, 0x67])]), picture);
  const { dataset, said } = await importOf({ name: "images", path: root, size: 32 });
  expect(dataset.train.length + dataset.validation.length).toBe(12);
  expect(dataset.report!.problems).toEqual([
    {
      kind: "unreadable file",
      count: 2,
      named: [
        { pair: "./loop", reason: "it is a link that leads back to itself" },
        { pair: "./\ufffd.jpg", reason: "its name is not UTF-8" },
      ],
    },
  ]);
  expect(said[0]).toContain("2 left out");
  dataset.close();
});

test("a file that may not be looked at is one left out, and a name does not reach the terminal as it is", async () => {
  const picture = await jpeg(40, 40, (x) => [x * 6, 0, 0]);
  const root = tree({
    ...Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`${i}.jpg`, picture])),
    "\u001b[2Jred.jpg": "no picture",
  });
  locked.file = join(root, "3.jpg");
  onTestFinished(() => {
    locked.file = undefined;
  });
  const { dataset, said } = await importOf({ name: "images", path: root, size: 32 });
  expect(dataset.train.length + dataset.validation.length).toBe(12);
  expect(said[0]).toContain("\ufffd[2Jred.jpg: ");
  expect(said[0]).not.toContain("\u001b");
  expect(dataset.report!.problems[0]!.named[0]!.pair).toBe("\u001b[2Jred.jpg");
  dataset.close();
});

test("pictures of any usual ending are read, or named where they cannot be decoded", async () => {
  const picture = await jpeg(40, 40, (x) => [x * 6, 0, 0]);
  const svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40"><rect width="20" height="40"/></svg>';
  const files = { "a.JFIF": picture, "b.jpe": picture, "c.svg": svg, "d.HEIC": "no", "e.heif": "no", "f.bmp": "no" };
  const line = await png(40, 40, () => [255]);
  const root = tree(
    Object.fromEntries(
      Object.entries(files).flatMap(([name, content]) => [
        [`image/${name}`, content],
        [`condition/${name[0]}.png`, line],
      ]),
    ),
  );
  for (const request of [
    { name: "images", path: join(root, "image"), size: 32 },
    { name: "folder", condition: "lines", path: root, size: 32 },
  ] as const) {
    const { dataset } = await importOf(request);
    expect([...pairsOf(dataset).keys()].map((id) => id[0]).sort()).toEqual(["a", "b", "c"]);
    const [problem, ...more] = dataset.report!.problems;
    expect([problem!.kind, more]).toEqual(["corrupt file", []]);
    expect(problem!.named.map(({ reason }) => /[def]\.\w+(?= is not .*Expected a PNG, JPEG)/.exec(reason)![0])).toEqual(
      ["d.HEIC", "e.heif", "f.bmp"],
    );
    dataset.close();
  }
});

describe("what an import is kept under", () => {
  const long = new Date("2020-01-01");

  async function contents(root: string, kept = temporaryFolder()): Promise<{ digest: string; read: number }> {
    let read = 0;
    // Told of each file only when it takes long, so the clock is made to run.
    const now = vi.spyOn(performance, "now").mockImplementation(() => 1e6 * read++);
    const files = new FileTree(root);
    const digest = await contentsOf(files, files.list("."), kept, () => {});
    now.mockRestore();
    return { digest, read };
  }

  test("is what the files hold and are called, wherever they lie and whenever they were changed", async () => {
    const files = { "a.png": "one", "b/c.png": "two" };
    const [here, there] = [tree(files), tree(files)];
    utimesSync(join(there, "a.png"), long, long);
    const { digest } = await contents(here);
    expect((await contents(there)).digest).toBe(digest);
    put(there, { "b/c.png": "TWO" });
    expect((await contents(there)).digest).not.toBe(digest);
    put(there, { "b/c.png": "two" });
    expect((await contents(there)).digest).toBe(digest);
    renameSync(join(there, "b/c.png"), join(there, "b/d.png"));
    expect((await contents(there)).digest).not.toBe(digest);
  });

  test("changes with a file whose length and time stay what they were, even where the digest was kept", async () => {
    const root = tree({ "a.png": "one", "b.png": "two" });
    for (const name of ["a.png", "b.png"]) utimesSync(join(root, name), long, long);
    const kept = temporaryFolder();
    // As if the files had been there for long.
    const clock = vi.spyOn(Date, "now").mockImplementation(() => new Date("2100-01-01").getTime());
    onTestFinished(() => clock.mockRestore());
    const first = await contents(root, kept);
    const second = await contents(root, kept);
    expect(second.digest).toBe(first.digest);
    expect(second.read).toBeLessThan(first.read);
    writeFileSync(join(root, "b.png"), "TWO");
    utimesSync(join(root, "b.png"), long, long);
    expect((await contents(root, kept)).digest).not.toBe(first.digest);
  });

  test("is also how they are to be read, and not where they lie", async () => {
    const files = { "image/a.png": "one", "condition/a.png": "two" };
    const roots = [tree(files), tree(files)];
    const maps = (...classes: string[]) => ({ condition: "semantic", classes });
    const partsOf = async (path: string, choices: object) => {
      const request = importSchema.parse({ name: "folder", path, size: 32, ...choices });
      return JSON.stringify((await importRecipe(request, temporaryFolder(), () => {})).parts);
    };
    const [here, there] = await Promise.all(roots.map((root) => partsOf(root, maps("a", "b"))));
    expect(there).toBe(here);
    for (const other of [maps("a", "b", "c"), maps("b", "a"), { condition: "lines" }])
      expect(await partsOf(roots[0]!, other)).not.toBe(here);
  });

  test("is neither kept where a file cannot be read, nor taken from whoever could read it", async () => {
    const root = tree({ "a.png": "one", "b.png": "two" });
    const kept = temporaryFolder();
    const clock = vi.spyOn(Date, "now").mockImplementation(() => new Date("2100-01-01").getTime());
    onTestFinished(() => clock.mockRestore());
    const b = join(root, "./b.png");
    onTestFinished(() => {
      locked.read = locked.once = undefined;
    });
    // A disk that fails for once, and then a user that may not read.
    locked.once = b;
    const failed = await contents(root, kept);
    locked.read = b;
    const denied = await contents(root, kept);
    locked.read = undefined;
    const whole = await contents(root, kept);
    expect(denied.digest).toBe(failed.digest);
    expect(whole.digest).not.toBe(failed.digest);
    expect((await contents(root, kept)).read).toBeLessThan(whole.read);
    locked.read = b;
    expect((await contents(root, kept)).digest).toBe(denied.digest);
  });

  test("is not kept of files that were changed a moment ago, which may change again within one tick of the clock", async () => {
    const root = tree({ "a.png": "one" });
    const kept = temporaryFolder();
    const first = await contents(root, kept);
    expect((await contents(root, kept)).read).toBe(first.read);
  });

  test("a corrected file makes another import, though its size and time are the same", async () => {
    const map = (label: number) => png(40, 40, () => [label]);
    const files = Object.fromEntries(
      await Promise.all(
        Array.from({ length: 12 }, async (_, i) => [
          [`image/${i}.png`, await png(40, 40, () => [i, i, i])],
          [`condition/${i}.png`, await map(1)],
        ]),
      ).then((pairs) => pairs.flat()),
    ) as Record<string, Buffer>;
    const root = tree(files);
    const cacheDir = temporaryFolder();
    const ask: OpenImport = {
      name: "folder",
      path: root,
      size: 32,
      condition: "semantic",
      classes: ["a", "b", "c"],
      cacheDir,
    };
    const place = join(root, "condition/3.png");
    utimesSync(place, long, long);
    const { dataset } = await importOf(ask);
    expect(pairsOf(dataset).get("3")!.condition[0]).toBe(1);
    dataset.close();
    const corrected = await map(2);
    expect(corrected).toHaveLength(files["condition/3.png"]!.length);
    writeFileSync(place, corrected);
    utimesSync(place, long, long);
    const again = await importOf(ask);
    expect(pairsOf(again.dataset).get("3")!.condition[0]).toBe(2);
    again.dataset.close();
  });
});

test("whoever works in a folder of pictures does not make his contact sheets a part of it", async () => {
  const { contactSheet } = await import("../../../src/media/index.ts");
  const picture = await jpeg(40, 40, (x) => [x * 6, 0, 0]);
  const root = tree(Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`${i}.jpg`, picture])));
  const cacheDir = temporaryFolder();
  const ask: OpenImport = { name: "images", path: root, size: 32, cacheDir };
  const { dataset } = await importOf(ask);
  const sheet = await contactSheet([{ label: "a", tiles: [new Uint8Array(32 * 32 * 3)] }]);
  dataset.close();

  put(root, { "data-images.png": sheet, "runs/own/samples/sample.png": sheet });
  const second = await openDataset({
    ...ask,
    onMessage: () => {},
    onProgress: (_done, _total, task) => expect(task).toBe("checking"), // and not drawn again
  });
  expect(second.key).toBe(dataset.key);
  second.close();

  // A picture of the user's with such a name is one of the pictures; a sheet with another name is found when it is read.
  put(root, { "data-own.png": await png(40, 40, () => [1, 2, 3]), "elsewhere.png": sheet });
  const { dataset: third } = await importOf(ask);
  expect([...third.train.ids, ...third.validation.ids].sort()).toEqual(
    [...Array.from({ length: 12 }, (_, i) => `${i}.jpg`), "data-own.png"].sort(),
  );
  expect(third.report!.problems).toMatchObject([
    {
      kind: "contact sheet",
      named: [{ pair: "data-images.png" }, { pair: "elsewhere.png" }, { pair: "runs/own/samples/sample.png" }],
    },
  ]);
  third.close();
});
