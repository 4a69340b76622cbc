import { scope } from "@iqvae/torch";
import { Command } from "commander";
import { type Config, loadConfig } from "../config/index.ts";
import { stage1Trial, stage2Trial, type Trial } from "../plan/made-up.ts";
import { expectShares } from "../run/train-run.ts";
import type { Peers } from "../support/peers.ts";
import { onFirst } from "../support/share.ts";
import { consoleProgress } from "./console.ts";
import { optionsOf } from "./options.ts";
import { joinPeers, voiceOf } from "./team.ts";

/** Seconds and steps that the timing of a stage takes, after two steps that prepare kernels and memory. */
const SECONDS = 1.5;
const MOST = 20;

/** Times whole steps of both stages as the processes that run it make them: for the choice of their number. */
export function timeStepsCommand(): Command {
  return new Command("time-steps")
    .description("time a training step of each stage")
    .argument("<config>")
    .action(async (source: string, _: unknown, command: Command) => {
      const { json } = optionsOf(command);
      const config = loadConfig(source);
      const peers = joinPeers("cpu", undefined);
      expectShares(peers, config);
      const progress = voiceOf(peers, consoleProgress({ json }));
      const stage1 = await medianStep(stage1Trial(config, peers), config.stage1.batch, config, peers);
      const { batch, accumulate } = config.stage2;
      const stage2 = await medianStep(stage2Trial(config, peers), batch * accumulate, config, peers);
      progress.tell(`stage 1 ${stage1.toFixed(3)} s, stage 2 ${stage2.toFixed(3)} s`, {
        event: "times",
        stage1,
        stage2,
      });
    });
}

async function medianStep(
  { trainer, dispose }: Trial,
  rows: number,
  { seed }: Config,
  peers: Peers | undefined,
): Promise<number> {
  let made = 0;
  const step = () => {
    peers?.beginStep(seed, "times", made++);
    const began = performance.now();
    scope(() => trainer.step(new Uint32Array(rows)));
    return (performance.now() - began) / 1000;
  };
  step();
  // The one that asked may be gone: see followStarter.
  const breathe = () => new Promise(setImmediate);
  await breathe();
  const second = step();
  await breathe();
  const count = await onFirst(peers, () => Math.max(1, Math.min(MOST, Math.round(SECONDS / second))));
  const times = Array.from({ length: count }, step).sort((a, b) => a - b);
  dispose();
  peers?.releaseGradients();
  return times[Math.floor(count / 2)]!;
}
