// Draws once, with a generator of its own or with the default one, and reports the numbers.
import { parentPort, workerData } from "node:worker_threads";
import { Generator, ops, scope } from "@iqvae/torch";

const options = workerData.own ? { generator: new Generator(1) } : {};
parentPort.postMessage(scope(() => Array.from(ops.aten.randn([4], options).read("float32"))));
