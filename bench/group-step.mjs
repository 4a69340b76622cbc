// What sharing a batch costs a training step of stage 2: processor time of a step alone over that of one with the reduction of all gradients
// between two processes of one thread each, in turn. Prints one JSON line a pair.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { barrier, initProcessGroup, scope, setNumThreads, tuneProcess } from "@iqvae/torch";
import { Peers } from "../packages/iqvae/dist/support/peers.js";
import { fastPrecision } from "../packages/iqvae/dist/support/precision.js";
import { stage2Trainer } from "./trainers.mjs";

const { values } = parseArgs({
  options: {
    threads: { type: "string" },
    repeats: { type: "string", default: "15" },
    rank: { type: "string" },
    port: { type: "string", default: "29511" },
  },
});
const [rank, port, ROWS] = [Number(values.rank ?? 0), Number(values.port), 16];
const script = fileURLToPath(import.meta.url);
const other =
  rank === 0
    ? spawn(process.execPath, [script, "--rank", "1", "--port", values.port, "--repeats", values.repeats], {
        stdio: "inherit",
      })
    : undefined;
tuneProcess();
setNumThreads(1);
const launch = { rank, size: 2, localRank: rank, localSize: 2, address: "127.0.0.1", port };
const peers = new Peers(initProcessGroup({ launch, timeout: 60 }));
const make = (peers) =>
  stage2Trainer({
    precision: fastPrecision(),
    exposure: "teacher",
    batch: ROWS,
    layers: 5,
    width: 256,
    heads: 8,
    codes: 512,
    tokens: 64,
    peers,
  });
const [together, alone] = [make(peers), make(undefined)];
const indices = Uint32Array.from({ length: ROWS }, (_, i) => i);

/** Processor seconds of this process. */
function timed(trainer, rows) {
  barrier();
  const [began, used] = [performance.now(), process.cpuUsage()];
  scope(() => trainer.step(rows));
  const { user, system } = process.cpuUsage(used);
  return { processor: (user + system) / 1e6, clock: (performance.now() - began) / 1000 };
}

for (let repeat = -2; repeat < Number(values.repeats); repeat++) {
  const [shared, plain] = [timed(together, indices), timed(alone, peers.rowsOf(indices))];
  if (rank === 0 && repeat >= 0)
    console.log(
      JSON.stringify({
        kept: plain.processor / shared.processor,
        processorSeconds: shared.processor,
        clockKept: plain.clock / shared.clock,
        parameters: [...together.model.namedParameters().values()].reduce((sum, each) => sum + each.numel(), 0),
      }),
    );
}
barrier();
await new Promise((done) => (other === undefined ? done() : other.on("close", done)));
