// What the parts of `npm run gpu-check` share: the device, checks that go on after a failure, and one JSON line at the end.
import { parseArgs } from "node:util";
import { ops, setDefaultDevice, setNumThreads } from "@iqvae/torch";

const { values } = parseArgs({ options: { device: { type: "string", default: "cuda:0" } } });
/** The device that is checked; `cpu` tries the scripts out. */
export const device = values.device;
setNumThreads(4);

const checks = [];
const figures = [];

/** Runs `body`; an error is a failed check. What it gives is noted with the check. @returns whether it passed */
export function check(name, body) {
  const begin = performance.now();
  try {
    checks.push({ name, ok: true, ...body(), ms: Math.round(performance.now() - begin) });
    return true;
  } catch (error) {
    checks.push({ name, ok: false, error: String(error?.stack ?? error).slice(0, 1500) });
    return false;
  }
}

/** Notes a figure, or why there is none. */
export function figure(name, body) {
  try {
    figures.push({ name, ...body() });
  } catch (error) {
    figures.push({ name, error: String(error?.message ?? error).slice(0, 600) });
  }
  console.log(JSON.stringify(figures.at(-1)));
}

/** Runs `body` with new tensors on a device. */
export function on(where, body) {
  setDefaultDevice(where);
  try {
    return body();
  } finally {
    setDefaultDevice("cpu");
  }
}

/** @throws Error where `actual` is further from `expected` than `most` of its largest value */
export function expectNear(what, actual, expected, most) {
  const [a, b] = [actual, expected].map((x) => x.detach().to({ device: "cpu", dtype: "float64" }));
  if (a.shape.join() !== b.shape.join()) throw new Error(`${what}: shape [${a.shape}] where [${b.shape}] was expected`);
  if (a.numel() === 0) return 0;
  const apart = a.sub(b).abs().max().item() / Math.max(1e-12, b.abs().max().item());
  if (!(apart <= most))
    throw new Error(`${what}: ${apart.toExponential(2)} of the largest value apart, ${most} allowed`);
  return apart;
}

/** Waits for all work of the device. */
export function synchronize() {
  ops.aten.zeros([1], { device }).item();
}

/** Seconds of one call of `body`, the mean of `count` after `warmup` others. */
export function secondsOf(body, { count = 20, warmup = 3 } = {}) {
  for (let i = 0; i < warmup; i++) body();
  synchronize();
  const begin = performance.now();
  for (let i = 0; i < count; i++) body();
  synchronize();
  return (performance.now() - begin) / 1000 / count;
}

export function finish() {
  console.log(JSON.stringify({ checks, figures }));
}
