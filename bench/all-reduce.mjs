// Milliseconds for the sum of 10 M float32 values over two processes of one thread each. Prints one JSON line a repeat; the peer is
// peers/all_reduce.py.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { allReduce, barrier, initProcessGroup, ops, setNumThreads, tuneProcess } from "@iqvae/torch";
import { freePort } from "../packages/iqvae/dist/cli/local-processes.js";

const { values } = parseArgs({
  options: {
    threads: { type: "string" },
    repeats: { type: "string", default: "15" },
    rank: { type: "string" },
    port: { type: "string" },
  },
});
const COUNT = 10_000_000;
const rank = Number(values.rank ?? 0);
const port = Number(values.port ?? (await freePort()));
const script = fileURLToPath(import.meta.url);
const other =
  rank === 0
    ? spawn(process.execPath, [script, "--rank", "1", "--port", String(port), "--repeats", values.repeats], {
        stdio: "inherit",
      })
    : undefined;
tuneProcess();
setNumThreads(1);
initProcessGroup({ launch: { rank, size: 2, localRank: rank, localSize: 2, address: "127.0.0.1", port }, timeout: 60 });
const message = ops.aten.ones([COUNT]);
for (let repeat = -2; repeat < Number(values.repeats); repeat++) {
  message.fill_(1);
  barrier();
  const [began, used] = [performance.now(), process.cpuUsage()];
  allReduce(message);
  const milliseconds = performance.now() - began;
  const { user, system } = process.cpuUsage(used);
  if (rank === 0 && repeat >= 0)
    console.log(JSON.stringify({ milliseconds, processorMilliseconds: (user + system) / 1000 }));
}
barrier();
await new Promise((done) => (other === undefined ? done() : other.on("close", done)));
