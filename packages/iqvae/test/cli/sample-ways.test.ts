import { existsSync, readFileSync, writeFileSync } from "node:fs";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Workspace } from "./program.ts";

const workspace = new Workspace();
beforeAll(async () => {
  const trained = await workspace.command("train", "tiny", "--set", "stage2.conditionDropout=0.1");
  expect(trained.code).toBe(0);
  const half = Uint8Array.from({ length: 32 * 32 }, (_, i) => (i < 512 ? 255 : 0));
  const mask = await sharp(half, { raw: { width: 32, height: 32, channels: 1 } })
    .png()
    .toBuffer();
  writeFileSync(workspace.at("mask.png"), mask);
});
afterAll(() => workspace.remove());

const sample = (...args: string[]) => workspace.command("sample", "tiny", "--out", "out.png", ...args);
const size = async () => {
  const { width, height } = await sharp(workspace.at("out.png")).metadata();
  return [width, height];
};

describe("sample", () => {
  test("guided, completed, between seeds and blended: one picture each, of its own", async () => {
    const pictures: string[] = [];
    for (const [args, wanted] of [
      [
        ["--index", "0", "--count", "2"],
        [532, 152],
      ],
      [
        ["--index", "0", "--count", "2", "--guidance", "30"], // the model has seen little: a weaker one may change no token,
        [532, 152],
      ],
      [
        ["--index", "0", "--count", "2", "--mask", "mask.png"],
        [664, 152],
      ],
      [
        ["--index", "0", "--count", "3", "--towards-seed", "5"],
        [664, 152],
      ],
      [
        ["--index", "0", "--index", "1", "--count", "3", "--blend"],
        [664, 152],
      ],
    ] as const) {
      expect(await sample(...args)).toMatchObject({ code: 0, err: "" });
      expect(await size(), args.join(" ")).toEqual(wanted);
      pictures.push(readFileSync(workspace.at("out.png")).toString("base64"));
    }
    expect(new Set(pictures).size).toBe(pictures.length);
  });

  test("the way from one seed to another ends where the way back begins", async () => {
    const way = async (from: string, to: string) => {
      expect(await sample("--index", "0", "--count", "3", "--seed", from, "--towards-seed", to)).toMatchObject({
        code: 0,
      });
      const tile = async (column: number) => {
        const at = { left: 4 + 132 * column, top: 20, width: 128, height: 128 };
        return (await sharp(workspace.at("out.png")).extract(at).raw().toBuffer()).toString("base64");
      };
      return await Promise.all([2, 4].map(tile));
    };
    const there = await way("0", "5");
    expect(await way("5", "0")).toEqual(there.toReversed());
    expect(there[0]).not.toBe(there[1]);
  });

  test("what is not said is as the run's configuration says, what is said is not", async () => {
    const path = workspace.at("runs", "tiny", "config.json");
    const before = readFileSync(path, "utf8");
    const picture = async (...more: string[]) => {
      expect(await sample("--index", "0", "--count", "2", ...more)).toMatchObject({ code: 0, err: "" });
      return readFileSync(workspace.at("out.png")).toString("base64");
    };
    const [plain, guided] = [await picture(), await picture("--guidance", "30")];
    try {
      writeFileSync(path, JSON.stringify({ ...JSON.parse(before), sampling: { guidance: 30 } }));
      expect(await picture()).toBe(guided);
      expect(await picture("--guidance", "1")).toBe(plain);
      expect(await workspace.command("export", "tiny", "--out", "guided")).toMatchObject({ code: 0 });
      const { sampling } = JSON.parse(readFileSync(workspace.at("guided", "model.json"), "utf8"));
      expect(sampling).toEqual({ temperature: 1, topK: null, topP: 1, guidance: 30 });
    } finally {
      writeFileSync(path, before);
    }
  });

  test("a blend is told as one row of images", async () => {
    const { out } = await sample("--index", "0", "--index", "1", "--count", "2", "--blend");
    expect(out).toMatch(/\n2 images from one condition to the other: out\.png\n$/);
  });

  test("larger than trained", async () => {
    expect(await sample("--index", "0", "--count", "1", "--size", "64")).toMatchObject({ code: 0, err: "" });
    expect(await size()).toEqual([400, 152]); // three tiles of 64 pixels, shown twice as large
  });

  test.each([
    [["--blend"], "--blend takes two conditions, but got 4. Name two with --index or --condition.\n"],
    [["--blend", "--size", "64"], "--blend and --size draw in different ways. Give one of them.\n"],
    [["--size", "48"], "--size 48: expected a size above the 32 pixels of the training, one of 64, 128, 256.\n"],
    [
      ["--condition", "mask.png", "--out", "./mask.png"],
      "--out ./mask.png is a file that this reads, and would be lost. Choose another name.\n",
    ],
    [
      ["--mask", "mask.png", "--out", "mask.png"],
      "--out mask.png is a file that this reads, and would be lost. Choose another name.\n",
    ],
    [
      ["--complete", "a.png", "--complete", "b.png", "--out", "b.png"],
      "--out b.png is a file that this reads, and would be lost. Choose another name.\n",
    ],
    [["--mask", "none.png"], "none.png cannot be read: there is no such file.\n"],
    [
      ["--index", "1", "--complete", "a.png", "--complete", "b.png"],
      "--complete: expected one file, or one for each of 1 conditions, got 2.\n",
    ],
  ])("%j is explained", async (args, err) => {
    expect(await sample(...args)).toMatchObject({ code: 1, err });
  });
});

describe("likelihood", () => {
  test("tells the bits of held-out pairs, whose sum is that of their maps", async () => {
    const { code, out } = await workspace.command("likelihood", "tiny", "--index", "0", "--index", "3", "--json");
    expect(code).toBe(0);
    const events = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { event: string; name: string; nats: number; bits: number; map: number[] });
    const found = events.filter(({ event }) => event === "likelihood");
    expect(found.map(({ name }) => name)).toEqual([
      expect.stringMatching(/^pair 0, face-0-\d+$/),
      expect.stringMatching(/^pair 3, face-0-\d+$/),
    ]);
    for (const { nats, bits, map } of found) {
      expect(map.reduce((sum, value) => sum + value, 0)).toBeCloseTo(nats, 3);
      expect(bits).toBeCloseTo(nats / Math.LN2, 6);
    }
    expect(existsSync(workspace.at("runs/tiny/samples/likelihood.png"))).toBe(true);
  });

  test("wants an image for each condition, and does not write over one", async () => {
    const pair = ["--condition", "a.png", "--image", "b.png"];
    expect(await workspace.command("likelihood", "tiny", ...pair, "--out", "b.png")).toMatchObject({
      code: 1,
      err: "--out b.png is a file that this reads, and would be lost. Choose another name.\n",
    });
    expect(await workspace.command("likelihood", "tiny", "--condition", "mask.png")).toMatchObject({
      code: 1,
      err: "Expected an --image for each --condition, got 0 for 1.\n",
    });
  });
});

describe("report", () => {
  test("of several runs compares them, with samples of the same conditions", async () => {
    const { code, out } = await workspace.command("report", "tiny", "tiny", "--json");
    expect(code).toBe(0);
    expect(out).toContain('{"event":"report","path":"runs/tiny/comparison.html","runs":["runs/tiny","runs/tiny"]}');
    expect(readFileSync(workspace.at("runs/tiny/comparison.html"), "utf8")).toContain("<h2>Samples</h2>");
  });

  test("of one run is its own, written anew", async () => {
    writeFileSync(workspace.at("runs/tiny/report.html"), "");
    expect((await workspace.command("report", "tiny")).out).toBe("Look at runs/tiny/report.html\n");
    expect(readFileSync(workspace.at("runs/tiny/report.html"), "utf8")).toContain("<h1>tiny</h1>");
  });
});

describe("plan", () => {
  test("tells parameters, operations, memory and time, for machines too", async () => {
    const { code, out } = await workspace.command("plan", "paper-cub", "--no-measure");
    expect(code).toBe(0);
    expect(out).toMatch(/^paper-cub: cub-200-2011, text, 256 × 256 pixels; products in bfloat16\n/);
    expect(out).toContain("H100 in bfloat16 at 40 %\n");
    expect(out).toMatch(/stage 2 +\d{3},\d{3},\d{3} +32 sequences +[\d.]+ TFLOP +[\d.]+ GB +– +[\d.]+ ms\n$/);
    const { out: json } = await workspace.command("plan", "tiny", "--json", "--utilization", "0.5");
    const made = JSON.parse(json) as { stage1: Record<string, number>; stage2: Record<string, number> };
    expect(made.stage1.here).toBeGreaterThan(0);
    expect(made).toMatchObject({ threads: expect.any(Number), load: expect.any(Number), cores: expect.any(Number) });
    expect(made.stage2.operations! / made.stage2.h100!).toBeCloseTo(0.5 * 989e12, -6);
  });

  test("counts what a reduction holds for several GPUs alone", async () => {
    const { out: json } = await workspace.command("plan", "tiny", "--no-measure", "--json");
    const { stage1, stage2 } = JSON.parse(json) as Record<string, { peakBytes: number; parameters: number }>;
    const megabytes = (more: number) =>
      [stage1!, stage2!].map(({ peakBytes, parameters }, i) => {
        return `${((peakBytes + more * 4 * parameters) / 1e6).toFixed(0)} MB in stage ${i + 1}`;
      });
    for (const gpus of [1, 2]) {
      const { out } = await workspace.command("plan", "tiny", "--no-measure", "--gpus", String(gpus));
      expect(out).toContain(`at the worst moment, at most: ${megabytes(gpus - 1).join(", ")} (in bfloat16`);
    }
  });

  test("takes other values, also of the presets at the paper's scale", async () => {
    const { out } = await workspace.command("plan", "paper-cub", "--no-measure", "--set", "stage2.batch=7");
    expect(out).toContain("7 sequences");
  });

  test("names the nearest preset", async () => {
    const { code, err } = await workspace.command("plan", "papr-cub");
    expect(code).toBe(1);
    expect(err).toContain("'paper-cub'");
  });

  test("goes without the files that a training needs", async () => {
    const { code, err } = await workspace.command("train", "paper-cub", "--name", "birds");
    expect(code).toBe(1);
    expect(err).toMatch(/data\.path=.*stage1\.perceptual\.network\.path=/);
    expect(existsSync(workspace.at("runs/birds"))).toBe(false);
  });
});
