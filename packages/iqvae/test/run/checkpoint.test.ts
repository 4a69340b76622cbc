import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { manualSeed, ops, scope, tensor } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import {
  bestCheckpoint,
  type CheckpointContent,
  checkpointPath,
  listCheckpoints,
  lowestLoss,
  readCheckpoint,
  readCheckpointTensors,
  saveCheckpoint,
} from "../../src/run/checkpoint.ts";
import { weightsDigest } from "../../src/run/weights.ts";
import { restoreRandomStates } from "../../src/support/random-state.ts";
import { bits, STEPS, temporaryFolder, trainTiny } from "./support.ts";

function content(step: number, loss?: number): CheckpointContent {
  return {
    stage: "stage1",
    step,
    loader: { epoch: 0, position: step },
    means: { count: 0, sums: {} },
    trainer: { steps: step },
    evaluation: loss === undefined ? null : { step, figures: { loss } },
  };
}

function folderWith(steps: readonly (readonly [step: number, loss?: number])[]): string {
  const folder = temporaryFolder();
  for (const [step, loss] of steps) saveCheckpoint(folder, content(step, loss), new Map([["w", tensor([step, 1, 2])]]));
  return folder;
}

test("a checkpoint gives back tensors, state and random numbers", () => {
  const folder = temporaryFolder();
  manualSeed(3);
  const path = saveCheckpoint(
    folder,
    content(7, 0.5),
    new Map([
      ["w", tensor([1, 2, 3])],
      ["other.w", tensor([4])],
    ]),
  );
  const draw = () => Array.from(scope(() => ops.aten.randn([5]).read("float32")));
  const expected = draw();
  const checkpoint = readCheckpoint(path);
  restoreRandomStates(checkpoint.random);
  expect(draw()).toEqual(expected);
  expect(checkpoint).toMatchObject(content(7, 0.5));
  expect([...readCheckpointTensors(path, checkpoint).get("w")!.read("float32")]).toEqual([1, 2, 3]);
  expect([...readCheckpointTensors(path, checkpoint, "other.").keys()]).toEqual(["other.w"]);
});

describe("which checkpoints are kept", () => {
  test("the last two and the best", () => {
    const folder = folderWith([[1, 5], [2, 1], [3, 4], [4, 3], [5]]);
    expect(listCheckpoints(folder, "stage1").map(({ step }) => step)).toEqual([5, 4, 2]);
    expect(readdirSync(folder)).toHaveLength(6);
    expect(bestCheckpoint(folder, "stage1")).toBe(checkpointPath(folder, "stage1", 2));
  });

  test("the last two when none was evaluated; then the newest counts as the best", () => {
    const folder = folderWith([[1], [2], [3]]);
    expect(listCheckpoints(folder, "stage1").map(({ step }) => step)).toEqual([3, 2]);
    expect(bestCheckpoint(folder, "stage1")).toBe(checkpointPath(folder, "stage1", 3));
  });

  test("by figures of its own: those of an earlier step say nothing of a checkpoint's weights", () => {
    const folder = folderWith([
      [1, 5],
      [2, 3],
    ]);
    for (const step of [3, 4, 5]) {
      const { evaluation } = content(1, 1);
      saveCheckpoint(folder, { ...content(step), evaluation }, new Map([["w", tensor([step])]]));
    }
    expect(bestCheckpoint(folder, "stage1")).toBe(checkpointPath(folder, "stage1", 2));
    expect(lowestLoss(folder, "stage1")).toBe(3);
  });

  test("those of steps to keep, however old", () => {
    const folder = temporaryFolder();
    for (const step of [1, 2, 3, 4, 5, 6])
      saveCheckpoint(folder, content(step, 10 - step), new Map([["w", tensor([step])]]), [2, 3, 9]);
    expect(listCheckpoints(folder, "stage1").map(({ step }) => step)).toEqual([6, 5, 3, 2]);
    expect(readdirSync(folder)).toHaveLength(8);
  });

  test("those of the other stage, whatever happens to this one", () => {
    const folder = folderWith([[1], [2]]);
    for (const step of [1, 2, 3]) {
      saveCheckpoint(folder, { ...content(step), stage: "stage2" }, new Map([["w", tensor([1])]]));
    }
    expect(listCheckpoints(folder, "stage1").map(({ step }) => step)).toEqual([2, 1]);
    expect(listCheckpoints(folder, "stage2").map(({ step }) => step)).toEqual([3, 2]);
  });

  test("not what a kill left: tensors without a description and files that were being written", () => {
    const folder = folderWith([[1]]);
    writeFileSync(join(folder, "stage1-00000009.safetensors"), "half");
    writeFileSync(join(folder, "stage1-00000009.json.12.part"), "half");
    expect(listCheckpoints(folder, "stage1").map(({ step }) => step)).toEqual([1]);
    saveCheckpoint(folder, content(2), new Map([["w", tensor([1])]]));
    expect(readdirSync(folder).sort()).toEqual(
      [1, 2].flatMap((step) => [`stage1-0000000${step}.json`, `stage1-0000000${step}.safetensors`]),
    );
  });
});

test("the weights that a run draws with are known by the last of stage 1, and the best of stage 2 or that of a step", () => {
  const checkpoints = folderWith([
    [1, 1],
    [2, 5],
  ]);
  const known = (step?: number) => weightsDigest({ checkpoints }, step);
  expect(known()).toBeUndefined();
  for (const [step, loss] of [
    [1, 3],
    [2, 4],
  ] as const)
    saveCheckpoint(checkpoints, { ...content(step, loss), stage: "stage2" }, new Map([["w", tensor([step])]]));
  expect(known()).toBe(known(1));
  expect(known(2)).toMatch(/^[0-9a-f]{64}$/);
  expect(known(2)).not.toBe(known());
  expect(known(3)).toBeUndefined();
  const before = known(2);
  rmSync(checkpointPath(checkpoints, "stage1", 2));
  expect(known(2)).not.toBe(before);
});

describe("a checkpoint that was tampered with", () => {
  const advice =
    "It was changed or damaged after it was written. Delete this .json file to go on from the checkpoint before it.";

  test.each<[string, (json: string, tensors: string) => void, string]>([
    [
      "truncated tensors",
      (_, tensors) => truncateSync(tensors, 40),
      "stage1-00000002.safetensors has 40 bytes instead of 124",
    ],
    [
      "missing tensors",
      (json) => edit(json, (old) => old.replace("00002.safe", "00008.safe")),
      "its tensors, stage1-00000008.safetensors, are missing",
    ],
    ["one changed bit", (_, tensors) => flip(tensors), "stage1-00000002.safetensors is not the file that was written"],
    ["truncated description", (json) => truncateSync(json, 100), "it is not valid JSON"],
    ["a list for a description", (json) => writeFileSync(json, "[]"), "it names no format"],
    ["a step that is none", (json) => edit(json, (old) => old.replace('"step": 2', '"step": -2')), "step: "],
    [
      "another folder's tensors",
      (json) => edit(json, (old) => old.replace('"file": "', '"file": "../')),
      "tensors.file: ",
    ],
    [
      "a random state that is none",
      (json) => edit(json, (old) => old.replace(/"cpu": "./, '"cpu": "#')),
      "random.cpu: ",
    ],
  ])("is refused: %s", (_, tamper, why) => {
    const folder = folderWith([[1], [2]]);
    const json = checkpointPath(folder, "stage1", 2);
    tamper(json, json.replace("json", "safetensors"));
    expect(() => readCheckpoint(json)).toThrow(`The checkpoint ${json} cannot be used: ${why}`);
    expect(() => readCheckpoint(json)).toThrow(advice);
    // The one before is whole.
    expect(readCheckpoint(checkpointPath(folder, "stage1", 1)).step).toBe(1);
  });

  test("stops a training with that message, and following the advice loses nothing", async () => {
    const [whole, damaged] = ["whole", "damaged"].map((name) => join(temporaryFolder(), name)) as [string, string];
    await trainTiny(whole);
    const { run } = await trainTiny(damaged);
    const json = checkpointPath(run.checkpoints, "stage1", STEPS);
    truncateSync(json.replace("json", "safetensors"), 100);
    await expect(trainTiny(damaged)).rejects.toThrow(advice);
    expect(existsSync(json)).toBe(true);
    // What the message says to do.
    rmSync(json);
    await trainTiny(damaged);
    expect(bits(damaged)).toEqual(bits(whole));
  });

  function edit(path: string, change: (old: string) => string): void {
    const old = readFileSync(path, "utf8");
    expect(change(old)).not.toBe(old);
    writeFileSync(path, change(old));
  }

  function flip(path: string): void {
    const bytes = readFileSync(path);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(path, bytes);
  }
});

test("a newer format asks for a newer program", () => {
  const folder = folderWith([[1]]);
  const json = checkpointPath(folder, "stage1", 1);
  writeFileSync(json, readFileSync(json, "utf8").replace('"format": 1', '"format": 2'));
  expect(() => readCheckpoint(json)).toThrow(
    /is of format 2, and this version of iqvae \(.+\) reads up to format 1\..* update iqvae/,
  );
});

test("a description that cannot be read is not called damaged", () => {
  const json = checkpointPath(folderWith([[1]]), "stage1", 1);
  const read = readCheckpoint(json);
  writeFileSync(json, `\ufeff${readFileSync(json, "utf8")}`); // as an editor may put before it
  expect(readCheckpoint(json)).toEqual(read);
  rmSync(json);
  mkdirSync(json);
  const failure = `${json} of a checkpoint cannot be read: it is a folder. Mend that; if it is lost, delete the .json file of the `;
  expect(() => readCheckpoint(json)).toThrow(failure);
});

test("a damaged description of an old checkpoint does not end a training, and stays for its owner to see", () => {
  const folder = folderWith([
    [1, 5],
    [2, 1],
    [3, 4],
  ]);
  const old = checkpointPath(folder, "stage1", 2);
  truncateSync(old, 50);
  saveCheckpoint(folder, content(4, 3), new Map([["w", tensor([4])]]));
  saveCheckpoint(folder, content(5, 2), new Map([["w", tensor([5])]]));
  expect(listCheckpoints(folder, "stage1").map(({ step }) => step)).toEqual([5, 4, 2]);
  expect(readCheckpoint(checkpointPath(folder, "stage1", 5)).step).toBe(5);
  // Whoever asks for the best of all is told.
  expect(() => bestCheckpoint(folder, "stage1")).toThrow(`The checkpoint ${old} cannot be used: it is not valid JSON`);
});

test("a copy of a run goes on like the run itself", async () => {
  const path = join(temporaryFolder(), "run");
  const { run } = await trainTiny(path, { steps: STEPS });
  const copy = join(temporaryFolder(), "copy");
  mkdirSync(join(copy, "checkpoints"), { recursive: true });
  for (const name of ["config.json", "metrics.jsonl"]) copyFileSync(join(path, name), join(copy, name));
  for (const name of readdirSync(run.checkpoints)) {
    copyFileSync(join(run.checkpoints, name), join(copy, "checkpoints", name));
  }
  await trainTiny(copy, { steps: STEPS + 6 });
  await trainTiny(path, { steps: STEPS + 6 });
  expect(bits(copy)).toEqual(bits(path));
});
