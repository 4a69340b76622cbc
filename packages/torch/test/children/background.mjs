// Starts a backward pass of some length on another thread, says so, and is ended in the middle of it.
import { parentPort } from "node:worker_threads";
import { ops } from "@iqvae/torch";

const x = ops.aten.randn([600, 600]).requires_grad_();
let y = x;
for (let i = 0; i < 30; i++) y = y.matmul(x).div(600);
y.sum().backwardAsync();
parentPort.postMessage("under way");
