import { readFileSync } from "node:fs";
import { listCheckpoints } from "../../src/run/checkpoint.ts";
import { readMetrics } from "../../src/run/metrics-log.ts";
import { STAGES } from "../../src/support/trainer.ts";
import { Workspace } from "./program.ts";

/** Of both stages; a second one long enough to be hit in its middle. */
export const STEPS = [6, 60] as const;
const settings = [
  `stage1.steps=${STEPS[0]}`,
  `stage2.steps=${STEPS[1]}`,
  "checkpointEvery=10",
  "logEvery=5",
  "evaluateEvery=30",
  "sampleEvery=1000",
];
export const SET = settings.flatMap((setting) => ["--set", setting]);

/** A workspace with trainings in two processes. */
export class GroupRuns extends Workspace {
  train(name: string) {
    return this.start("train", "tiny", "--name", name, "--processes", "2", "--json", ...SET);
  }

  /** Starts a training and waits until stage 2 is under way and has a checkpoint. */
  async underWay(name: string) {
    const started = this.train(name);
    await started.said('"event":"checkpoint","stage":"stage2"');
    return { ...started, ranks: ranksOf(started.child.pid!) };
  }

  folder(name: string): string {
    return this.at("runs", name, "checkpoints");
  }

  /** Of the newest checkpoints of both stages. */
  steps(name: string): (number | undefined)[] {
    return STAGES.map((stage) => listCheckpoints(this.folder(name), stage)[0]?.step);
  }

  /** Weights and moments at the end, tokens, and the log. */
  result(name: string): unknown {
    const tensors = STAGES.map((stage) =>
      listCheckpoints(this.folder(name), stage)[0]!.path.replace("json", "safetensors"),
    );
    const read = (path: string) => readFileSync(path).toString("base64");
    const log = readMetrics(this.at("runs", name, "metrics.jsonl"));
    return { tensors: tensors.map(read), tokens: read(this.at("runs", name, "tokens.safetensors")), log };
  }
}

/** Process numbers of the ranks that a process has started, in their order. */
function ranksOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
  const rankOf = (child: number) =>
    Number(/(?:^|\0)RANK=(\d+)/.exec(readFileSync(`/proc/${child}/environ`, "utf8"))![1]);
  return children.sort((a, b) => rankOf(a) - rankOf(b));
}
