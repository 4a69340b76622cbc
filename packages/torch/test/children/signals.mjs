// Convolves on and on while another process sends signals, and prints as JSON how many were heard, whether all results were equal
// to the bit, and which signals a child that it starts would not take.
import { execFileSync, spawn } from "node:child_process";
import { manualSeed, ops, scope } from "@iqvae/torch";

const SECONDS = 2;
/** Heard between convolutions only, and seldom on a machine that has much else to do. */
const [SIGNALS, PATIENCE] = [50, 100];
const { aten, fused } = ops;
manualSeed(1);
// As many channels as make oneDNN's product take the stack pointer for data, with AVX2 and with AVX-512.
const [x, w] = [aten.randn([2, 256, 16, 16]), aten.randn([256, 256, 3, 3])];
const product = () => fused.conv2d(x, w, null, [1, 1], [1, 1]);
const first = product();

let heard = 0;
process.on("SIGWINCH", () => heard++);
const sender = spawn("sh", ["-c", `while kill -WINCH ${process.pid}; do :; done`], { stdio: "ignore" });
const began = performance.now();
const isOver = (seconds) => performance.now() - began > seconds * 1000;
let equal = true;
while (!isOver(SECONDS) || (heard < SIGNALS && !isOver(PATIENCE))) {
  for (let i = 0; i < 20; i++) equal &&= scope(() => product().equal(first));
  await new Promise((resume) => setImmediate(resume));
}
sender.kill();
const status = execFileSync("cat", ["/proc/self/status"], { encoding: "utf8" });
console.log(JSON.stringify({ heard, equal, blocked: /SigBlk:\s+(\w+)/.exec(status)?.[1] }));
