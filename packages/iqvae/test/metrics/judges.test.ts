import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseConfig, presets } from "../../src/config/index.ts";
import { defaultJudge, expectImpartial, JUDGE_NAMES, judgeSpec } from "../../src/metrics/judges.ts";
import { scoreRun } from "../../src/metrics/score.ts";
import { createRun } from "../../src/run/run-folder.ts";
import { temporaryFolder } from "../run/support.ts";

const trained = (network: object | null) =>
  parseConfig({ ...presets.tiny, stage1: { ...presets.tiny.stage1, perceptual: network && { network } } }, "test");
const [none, own, other, hed, vgg] = [
  trained(null),
  trained({ kind: "attributes" }),
  trained({ kind: "attributes", set: "emoji" }),
  trained({ kind: "hed-vgg16" }),
  trained({ kind: "vgg16-lpips", path: "vgg.safetensors" }),
] as const;

/** A network of this name, whatever it is. */
const judge = (name: string) => {
  const never = () => {
    throw new Error("it must not be asked");
  };
  return { name, digest: "", dims: 1, features: never, layers: never };
};

test.each([
  ["attributes-faces-32", own],
  ["attributes-emoji-32", other],
  ["hed-vgg16", hed],
  ["vgg16-lpips", vgg],
  ["vgg16-lpips (weights 01234567)", vgg],
])("%s does not judge a run that was trained with it", (name, config) => {
  expect(() => expectImpartial("runs/a", config, [judge("inception-v3-fid"), judge(name)])).toThrow(
    /^runs\/a was trained to please \S+ .*stage1\.perceptual.*must not judge it.*(attributes-|efficientnet-lite0)/,
  );
});

test("networks that a run was not trained with may judge it", () => {
  const names = ["attributes-faces-32", "attributes-emoji-32", "hed-vgg16", "vgg16-lpips", "efficientnet-lite0"];
  const ofLoss = new Map([
    [none, undefined],
    [own, names[0]],
    [other, names[1]],
    [hed, names[2]],
    [vgg, names[3]],
  ]);
  for (const [config, loss] of ofLoss)
    for (const name of names.filter((one) => one !== loss))
      expect(() => expectImpartial("runs/a", config, [judge(name)]), `${name}, trained with ${loss}`).not.toThrow();
});

test("scoring refuses such a judge before it draws or fetches anything", async () => {
  const run = createRun(join(temporaryFolder(), "run"), hed);
  const scoring = scoreRun(run, { conditions: 2, samples: 2, seed: 1, networks: [judge("hed-vgg16")] });
  await expect(scoring).rejects.toThrow(/was trained to please hed-vgg16 .*must not judge it/);
  expect(existsSync(join(run.path, "metrics.json"))).toBe(false);
});

test("the usual judge is passed over where it is in the loss of one of the runs", () => {
  const [faces, emoji, hands] = (["faces", "emoji", "hands"] as const).map((name) => ({ name, size: 32 }) as const);
  const sets = (data: Parameters<typeof defaultJudge>[0] | undefined, ...configs: (typeof none)[]) =>
    defaultJudge(data!, configs);
  expect(sets(faces, none, hed, vgg, other)).toEqual({ kind: "attributes", set: "faces", size: 32 });
  expect(sets(faces, none, own)).toEqual({ kind: "attributes", set: "emoji", size: 32 });
  for (const data of [emoji, hands]) expect(sets(data, none)).toMatchObject({ set: "emoji" });
  expect(sets(emoji, other)).toMatchObject({ set: "faces" });
  for (const name of ["earth", "photos", "cifar10", "stamps", "fashion"] as const)
    expect(sets({ name, size: 32 }, none, hed), name).toEqual({ kind: "efficientnet-lite0" });
  expect(() => sets(faces, own, other)).toThrow(/attributes-faces-32 and attributes-emoji-32.*efficientnet-lite0/);
});

test("every judge that can be named is one to open", () => {
  expect(JUDGE_NAMES.map((name) => judgeSpec(name, 64))).toEqual([
    { kind: "attributes", set: "faces", size: 64 },
    { kind: "attributes", set: "emoji", size: 64 },
    { kind: "efficientnet-lite0" },
    { kind: "efficientnet-lite0", features: 80 },
    { kind: "efficientnet-lite0", features: 1280 },
  ]);
});
