import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { listCheckpoints } from "../../src/run/checkpoint.ts";
import { readMetrics } from "../../src/run/metrics-log.ts";
import { seededRandom } from "../../src/support/random.ts";
import { STAGES } from "../../src/support/trainer.ts";
import { Workspace } from "./program.ts";

const workspace = new Workspace();
afterAll(() => workspace.remove());

const KILLS = 20;
const random = seededRandom(1);
/** Short, so that kills fall everywhere: within data, both stages, saving, encoding, drawing. */
const settings = ["stage1.steps=60", "stage2.steps=60", "checkpointEvery=2", "logEvery=3", "evaluateEvery=20"];
const set = settings.flatMap((setting) => ["--set", setting]);

test(`iqvae start, killed ${KILLS} times by SIGKILL and started again, ends in the bits of one that was left alone`, async () => {
  const undisturbed = await workspace.run("train", "tiny", "--name", "undisturbed", ...set);
  expect(undisturbed).toMatchObject({ code: 0, err: "" });

  const stands = new Set<string>();
  for (let kill = 0; kill < KILLS; kill++) {
    const { child, said, ended } = workspace.start("start", "--preset", "tiny", "--json", ...set);
    // By progress and not by time alone, so that the kills spread over a training of any speed.
    const checkpoints = Math.floor(random() * 6);
    await said(checkpoints === 0 ? '"event":"run"' : '"event":"checkpoint"', Math.max(1, checkpoints));
    await new Promise((done) => setTimeout(done, random() * 60));
    child.kill("SIGKILL");
    await ended;
    stands.add(standOf("tiny"));
  }
  const last = await workspace.run("start", "--preset", "tiny", ...set);
  expect(last).toMatchObject({ code: 0, err: "" });
  expect(result("tiny")).toEqual(result("undisturbed"));
  // The kills must have hit different moments, or nothing was shown.
  expect(stands.size).toBeGreaterThan(6);
  const left = readdirSync(workspace.at("runs/tiny/checkpoints"));
  expect(left.filter((name) => name.endsWith(".part"))).toEqual([]);
});

/** The newest checkpoint of each stage. */
function standOf(name: string): string {
  const folder = workspace.at("runs", name, "checkpoints");
  return STAGES.map((stage) => listCheckpoints(folder, stage)[0]?.step ?? 0).join(" ");
}

/** All that training made: checkpoints to the byte, tokens, pictures, and the log. */
function result(name: string): unknown {
  const run = workspace.at("runs", name);
  const read = (path: string) => (existsSync(path) ? readFileSync(path).toString("base64") : "missing");
  const newest = STAGES.map((stage) => listCheckpoints(join(run, "checkpoints"), stage)[0]!.path);
  return {
    checkpoints: newest.flatMap((path) => [read(path), read(path.replace("json", "safetensors"))]),
    tokens: read(join(run, "tokens.safetensors")),
    pictures: ["stage1-00000060.png", "stage2-00000060.png"].map((picture) => read(join(run, "samples", picture))),
    log: readMetrics(join(run, "metrics.jsonl")),
  };
}
