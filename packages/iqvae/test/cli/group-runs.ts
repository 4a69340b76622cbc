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
  train(name: string, env: NodeJS.ProcessEnv = {}) {
    const args = ["train", "tiny", "--name", name, "--processes", "2", "--json", ...SET];
    return this.startBy([process.execPath], args, env);
  }

  /** Starts a training and waits until it says something: by default, until stage 2 is under way and has a checkpoint. */
  async underWay(name: string, { env, until = '"event":"checkpoint","stage":"stage2"' }: UnderWay = {}) {
    const started = this.train(name, env);
    await started.said(until);
    return { ...started, ranks: ranksOf(started.child.pid!) };
  }

  /** Goes on with a run where no file may become larger than so many kilobytes, as on a disk that is full. */
  resumeLimited(name: string, kilobytes: number) {
    const limited = ["sh", "-c", `ulimit -f ${2 * kilobytes}; exec "$@"`, "sh", process.execPath];
    return this.startBy(limited, ["resume", `runs/${name}`, "--json"]).ended;
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

interface UnderWay {
  readonly env?: NodeJS.ProcessEnv;
  readonly until?: string;
}

/** Process numbers of the ranks that a process has started, in their order. */
export function ranksOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
  const rankOf = (child: number) =>
    Number(/(?:^|\0)RANK=(\d+)/.exec(readFileSync(`/proc/${child}/environ`, "utf8"))![1]);
  return children.sort((a, b) => rankOf(a) - rankOf(b));
}
