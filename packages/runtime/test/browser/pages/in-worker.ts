export { WorkerGenerator } from "../../../src/index.ts";
