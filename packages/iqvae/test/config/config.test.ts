import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import * as fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { checkOwnPaths, loadConfig, PRESET_NAMES, parseConfig, presets } from "../../src/config/index.ts";
import { configSchema } from "../../src/config/schema.ts";
import { createRun, openRun } from "../../src/run/run-folder.ts";

function file(content: unknown): string {
  const folder = mkdtempSync(join(tmpdir(), "iqvae-config-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "config.json");
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

describe("presets", () => {
  test.each(PRESET_NAMES)("%s is whole and stays equal when it is stored and read", (name) => {
    const config = loadConfig(name);
    expect(config.name).toBe(name);
    expect(["bfloat16", "float32"]).toContain(config.precision);
    expect(parseConfig(JSON.parse(JSON.stringify(config)), "stored")).toEqual(config);
  });
});

describe("a configuration", () => {
  test("takes what differs from a preset, from a file and from the command line", () => {
    const path = file({ preset: "tiny", seed: 7, stage1: { steps: 60 } });
    const config = loadConfig(path, ["stage2.steps=80", "stage2.model.dropout=0", "name=mine"]);
    expect(config).toEqual({
      ...loadConfig("tiny"),
      name: "mine",
      seed: 7,
      stage1: { ...loadConfig("tiny").stage1, steps: 60 },
      stage2: {
        ...loadConfig("tiny").stage2,
        steps: 80,
        model: { ...loadConfig("tiny").stage2.model, dropout: 0 },
      },
    });
  });

  test("begins a chosen variant anew, so that keys of the old one do not stay", () => {
    const config = loadConfig("tiny", ["stage1.regularizer.estimator=sliced", "stage1.regularizer.directions=9"]);
    expect(config.stage1.regularizer).toMatchObject({ estimator: "sliced", directions: 9 });
    expect(config.stage1.regularizer).not.toHaveProperty("distance");
    expect(loadConfig("tiny", ["stage2.exposure.kind=teacher"]).stage2.exposure).toEqual({ kind: "teacher" });
  });

  test("takes values of a variant that is chosen after them", () => {
    const settings = ["data.path=/photos", "data.size=64", "data.name=images"];
    for (const order of [settings, settings.toReversed()])
      expect(loadConfig("tiny", order).data).toEqual({
        name: "images",
        path: "/photos",
        size: 64,
        condition: "edges",
      });
    expect(() => loadConfig("tiny", ["data.name=images", "data.path=x", "data.name=emoji"])).toThrow(
      "data.size is missing",
    );
  });

  test("leaves files of the user's open until they are named", () => {
    const lacking =
      (...settings: string[]) =>
      () =>
        checkOwnPaths(loadConfig("paper-ade20k", settings));
    expect(lacking()).toThrow(/data\.path=PATH .*stage1\.perceptual\.network\.path=PATH/);
    expect(lacking("data.path=/data/ade")).toThrow(/^(?!.*data\.path=).*stage1\.perceptual\.network\.path=PATH/);
    expect(lacking("data.path=/data/ade", "stage1.perceptual=null")).not.toThrow();
  });

  test("does not change the preset that it was made from", () => {
    const before = JSON.stringify(presets);
    loadConfig("tiny", ["stage1.model.image.codes=77"]);
    expect(JSON.stringify(presets)).toBe(before);
  });
});

test("every number of a configuration that is not whole has a bound above", () => {
  const unbounded: string[] = [];
  const visit = (schema: unknown, path: string): void => {
    if (typeof schema !== "object" || schema === null) return;
    const bounded = ["maximum", "exclusiveMaximum", "enum", "const"].some((key) => key in schema);
    if ("type" in schema && schema.type === "number" && !bounded) unbounded.push(path);
    for (const [key, inner] of Object.entries(schema)) visit(inner, `${path}.${key}`);
  };
  visit(z.toJSONSchema(configSchema, { io: "input", unrepresentable: "any" }), "");
  expect(unbounded).toEqual([]);
});

describe("a mistake is named with the nearest valid choice", () => {
  test.each<[string, readonly string[], string]>([
    ["a key", ["stage1.regulariser.weight=1"], "unknown key 'stage1.regulariser'; did you mean 'regularizer'?"],
    [
      "a key of a variant",
      ["stage1.regularizer.wieght=1"],
      "unknown key 'stage1.regularizer.wieght'; did you mean 'weight'?",
    ],
    [
      "a key of a variant of a variant",
      ["data.name=folder", "data.path=x", "data.size=32", "data.condition=text", "data.lenght=9"],
      "unknown key 'data.lenght'; did you mean 'length'?",
    ],
    [
      "a key of another variant",
      ["data.name=folder", "data.path=x", "data.size=32", "data.condition=edges", "data.boxes=9"],
      "unknown key 'data.boxes'; choose one of name, path, size, condition",
    ],
    ["a key at the top", ["sede=1"], "unknown key 'sede'; did you mean 'seed'?"],
    [
      "an estimator",
      ["stage1.regularizer.estimator=slice"],
      "stage1.regularizer.estimator is \"slice\"; did you mean 'sliced'?",
    ],
    [
      "a kind of exposure",
      ["stage2.exposure.kind=schedule"],
      "stage2.exposure.kind is \"schedule\"; did you mean 'scheduled'?",
    ],
    [
      "a discriminator that is too deep for the pictures",
      ["stage1.adversarial.layers=4"],
      "stage1.adversarial with 4 layers needs pictures of 48 pixels a side, but data.size is 32; use at most 3 layers",
    ],
    [
      "a feature network",
      ["stage1.perceptual.network.kind=vgg-lpips"],
      "stage1.perceptual.network.kind is \"vgg-lpips\"; did you mean 'vgg16-lpips'?",
    ],
    [
      "a key of the discriminator",
      ["stage1.adversarial.wieght=1"],
      "unknown key 'stage1.adversarial.wieght'; did you mean 'weight'?",
    ],
    ["a precision", ["precision=bfloat"], "precision is \"bfloat\"; did you mean 'bfloat16'?"],
    ["a size", ["data.size=48"], "data.size is 48; choose one of 32, 64, 128, 256"],
    ["a condition", ["data.condition=semantics"], "data.condition is \"semantics\"; did you mean 'semantic'?"],
    [
      "a condition of emoji",
      ["data.name=emoji", "data.size=32", "data.condition=lines"],
      "data.condition is \"lines\"; the only choice is 'edges'",
    ],
    ["a number for a text", ["name=3"], "name is 3, but must be text; in quotes it is one: 'name=\"3\"'"],
    ["true for a text", ["name=true"], "name is true, but must be text; in quotes it is one: 'name=\"true\"'"],
    ["a text for a number", ["stage1.steps=many"], 'stage1.steps is "many", but must be a number'],
    ["a broken number", ["stage1.steps=1.5"], "stage1.steps is 1.5, but must be a whole number"],
    [
      "a number for a list",
      ["stage1.model.image.multipliers=2"],
      "stage1.model.image.multipliers is 2, but must be a list [ … ]",
    ],
    ["a number for an object", ["stage2.model=2"], "stage2.model is 2, but must be an object { … }"],
    [
      "the name of a variant in place of the variant",
      ["stage1.regularizer=none", "data=emoji"],
      'data is "emoji", but must be an object { … }; to choose one, set data.name\n' +
        '  stage1.regularizer is "none", but must be an object { … }; to choose one, set stage1.regularizer.estimator',
    ],
    ["too little", ["stage1.batch=0"], "stage1.batch is 0, but must be at least 1"],
    [
      "what a float32 cannot hold",
      ["stage1.regularizer.weight=1e39"],
      "stage1.regularizer.weight is 1e+39, but must be at most 1000000",
    ],
    ["too much", ["stage2.model.dropout=1"], "stage2.model.dropout is 1, but must be less than 1"],
    [
      "no multiple",
      ["stage1.model.image.channels=30"],
      "stage1.model.image.channels is 30, but must be a multiple of 8; the nearest is 32",
    ],
    ["a missing value", ["data.name=emoji"], "data.size is missing; choose one of 32, 64, 128, 256"],
  ])("%s", (_, settings, problem) => {
    expect(() => loadConfig("tiny", settings)).toThrow(`\n  ${problem}`);
  });

  test("all of them at once, with where they came from", () => {
    expect(() => loadConfig("tiny", ["seeed=1", "stage1.batch=-1"])).toThrow(
      "The configuration tiny with seeed=1, stage1.batch=-1 cannot be used:\n" +
        "  stage1.batch is -1, but must be at least 1\n" +
        "  unknown key 'seeed'; did you mean 'seed'?",
    );
  });

  test.each<[string, readonly string[], string]>([
    [
      "a size that the reduction does not divide",
      ["stage1.model.image.multipliers=[1,1,1,1,1]"],
      "data.size 32 cannot be reduced 64-fold, as stage1.model.image does; use data.size 64, or shorten 'multipliers'",
    ],
    [
      "a width that heads cannot share",
      ["stage2.model.width=33"],
      "stage2.model.width 33 cannot be shared by 4 heads; the nearest width is 32",
    ],
    [
      "guidance of a model that never learns without conditions",
      ["sampling.guidance=2"],
      "sampling.guidance 2 needs a model that also learns without conditions: give stage2.conditionDropout a share, such as 0.1",
    ],
    [
      "what no hand draws",
      ["stage2.handDrawn=0.3", "data.name=hands", "data.condition=keypoints", "data.size=64"],
      "stage2.handDrawn is about conditions of kind semantic, lines, edges, but these are of kind 'keypoints'; leave it 0, or take a " +
        "data set with maps or lines",
    ],
    [
      "a paired regularizer on two grids",
      ["stage1.model.condition.patch=2"],
      "stage1.regularizer 'paired' needs image and condition on one grid, but they are reduced 8-fold and 4-fold; " +
        "use 'sliced' or 'entropic', or take equal 'patch' and 'multipliers'",
    ],
    [
      "a coupled decoder on two grids",
      ["stage1.model.coupled=true", "stage1.model.condition.patch=2", "stage1.regularizer.estimator=none"],
      "stage1.model.coupled needs image and condition on one grid, but they are reduced 8-fold and 4-fold; " +
        "leave it false, or take equal 'patch' and 'multipliers'",
    ],
    [
      "a network of attributes that the data set does not have",
      [
        "data.name=hands",
        "data.condition=keypoints",
        "data.size=32",
        "stage1.perceptual={}",
        "stage1.regularizer.estimator=sliced",
      ],
      "stage1.perceptual looks with the network of the data set's own attributes, which there is for faces and emoji only, not " +
        "for hands; name one of these in stage1.perceptual.network.set, or use the network 'hed-vgg16'",
    ],
    [
      "a warm-up without end",
      ["stage2.warmup=31"],
      "stage2.warmup 31 is longer than the training; use at most stage2.steps, 30",
    ],
  ])("an impossible combination: %s", (_, settings, problem) => {
    expect(() => loadConfig("tiny", settings)).toThrow(`\n  ${problem}`);
  });

  test("the perceptual term takes the attributes of another set", () => {
    const network = { kind: "attributes", set: "faces" };
    const settings = ["data.name=hands", "data.condition=keypoints", "data.size=32"];
    const config = loadConfig("tiny", [...settings, `stage1.perceptual=${JSON.stringify({ network })}`]);
    expect(config.stage1.perceptual).toEqual({ weight: 1, network });
  });

  test("a warm-up may take all steps", () => {
    expect(loadConfig("tiny", ["stage2.warmup=30"]).stage2.warmup).toBe(30);
  });

  test("two grids are possible with another estimator", () => {
    const settings = ["stage1.model.condition.patch=2", "stage1.regularizer.estimator=sliced"];
    expect(loadConfig("tiny", settings).stage1.regularizer.estimator).toBe("sliced");
  });

  test("a preset, a file, and what is in it", () => {
    expect(() => loadConfig("face")).toThrow("'face' is neither a preset nor a file; did you mean 'faces'?");
    expect(() => loadConfig("qqqqqqq.json")).toThrow(
      "'qqqqqqq.json' is neither a preset nor a file; choose one of start, faces, faces-lines, emoji, hands, heroes, scenes, words, speech, earth, earth-128, earth-32, stamps-128, tiny",
    );
    const broken = file("{ oops");
    expect(() => loadConfig(broken)).toThrow(`${broken} is not valid JSON: `);
    const list = file([1]);
    expect(() => loadConfig(list)).toThrow(`${list} must hold an object { … }`);
    const strange = file({ preset: "emojis" });
    expect(() => loadConfig(strange)).toThrow(`${strange}: there is no preset 'emojis'; did you mean 'emoji'?`);
    expect(() => loadConfig("tiny", ["stage1.steps"])).toThrow(
      "--set stage1.steps: expected KEY=VALUE, for example --set stage1.steps=200",
    );
  });

  test("never with anything but a ConfigError, whatever is written", async () => {
    await fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.constantFrom("data", "stage1", "stage1.regularizer", "stage2.model", "seed"),
        (value, key) => {
          try {
            loadConfig("tiny", [`${key}=${JSON.stringify(value)}`]);
          } catch (error) {
            expect((error as Error).name).toBe("ConfigError");
          }
        },
      ),
    );
  });
});

describe("a configuration file", () => {
  const text = JSON.stringify({ preset: "tiny", seed: 7 });

  test.each([
    ["UTF-8", Buffer.from(`\ufeff${text}`)],
    ["UTF-16, as Windows writes it", Buffer.from(`\ufeff${text}`, "utf16le")],
  ])("may begin with a byte-order mark: %s", (_, bytes) => {
    const path = file("");
    writeFileSync(path, bytes);
    expect(loadConfig(path).seed).toBe(7);
  });

  test("that is no text, or a folder, is refused by name", () => {
    const path = file("");
    writeFileSync(path, Buffer.from('{ "name": "\xe9" }', "latin1"));
    expect(() => loadConfig(path)).toThrow(`${path} is not a text in UTF-8`);
    expect(() => loadConfig(dirname(path))).toThrow(`${dirname(path)} is a folder`);
  });

  test.each([
    ["at the top", '{ "preset": "tiny", "seed": 1, "seed": 2 }', "seed"],
    ["within", '{ "preset": "tiny", "stage1": { "steps": 1, "batch": 2, "steps": 1 } }', "steps"],
    ["written differently", '{ "preset": "tiny", "seed": 1, "\\u0073eed": 2 }', "seed"],
  ])("with a key twice is refused: %s", (_, content, key) => {
    expect(() => loadConfig(file(content))).toThrow(`has the key '${key}' twice`);
  });

  test("has paths that are relative to it, wherever the program is started", () => {
    const data = (path: string) => ({ name: "images", path, size: 32 });
    const path = file({ preset: "tiny", data: data("photos") });
    const pathOf = (source: string, ...settings: string[]) =>
      (loadConfig(source, settings).data as { path: string }).path;
    expect(pathOf(path)).toBe(join(dirname(path), "photos"));
    expect(pathOf(relative(process.cwd(), path))).toBe(join(dirname(relative(process.cwd(), path)), "photos"));
    // What is said on the command line is relative to where it is said.
    expect(pathOf(path, "data.path=photos")).toBe("photos");
    expect(pathOf(file({ preset: "tiny", data: data("/photos") }))).toBe("/photos");
    const perceptual = { network: { kind: "vgg16-lpips", path: "vgg.safetensors" } };
    const deep = file({ preset: "tiny", stage1: { perceptual } });
    expect(loadConfig(deep).stage1.perceptual?.network).toMatchObject({ path: join(dirname(deep), "vgg.safetensors") });
  });

  test("of a run leads to the data from every working folder", () => {
    const folder = dirname(file(""));
    const before = process.cwd();
    onTestFinished(() => process.chdir(before));
    mkdirSync(join(folder, "below"));
    process.chdir(folder);
    createRun("runs/x", parseConfig({ ...presets.tiny, data: { name: "images", path: "photos", size: 32 } }, "test"));
    expect(openRun("runs/x").config.data).toMatchObject({ path: "photos" });
    process.chdir(join(folder, "below"));
    expect(openRun("../runs/x").config.data).toMatchObject({ path: "../photos" });
  });
});

test.each(["..", ".", "...", "a/b", ""])("a run cannot be called %j", (name) => {
  expect(() => loadConfig("tiny", [`name=${JSON.stringify(name)}`])).toThrow(/name is /);
});

test("a run can have a name of 250 bytes", () => {
  const folder = dirname(file(""));
  const name = "n".repeat(250);
  createRun(join(folder, name), loadConfig("tiny", [`name=${name}`]));
  expect(openRun(join(folder, name)).config.name).toBe(name);
});

describe("the arm of the ablation that a preset trains", () => {
  const ofWords = ["words", "speech"];
  const ours = Object.keys(presets).filter((name) => name !== "tiny" && !name.startsWith("paper-"));

  test.each(ours)("%s: as docs/results.md says", (name) => {
    const { stage1, stage2 } = parseConfig(presets[name as keyof typeof presets], name);
    expect(stage2.exposure.kind).toBe("teacher");
    const within = { estimator: "paired", weight: 0.2, gradient: "image", pairs: "image" };
    const onAnyGrid = { estimator: "sliced", weight: 0.2, gradient: "both" };
    expect(stage1.regularizer).toMatchObject(ofWords.includes(name) ? onAnyGrid : within);
  });

  test("the paper's presets train the paper's method", () => {
    const paper = Object.keys(presets).filter((name) => name.startsWith("paper-"));
    expect(paper.length).toBeGreaterThan(1);
    for (const name of paper) {
      const { stage1, stage2 } = parseConfig(presets[name as keyof typeof presets], name);
      expect(stage2.exposure.kind, name).toBe("gumbel");
      expect(stage1.regularizer, name).toMatchObject({ gradient: "both" });
    }
  });
});
