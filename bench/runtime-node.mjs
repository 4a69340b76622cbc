// Drawing tokens on onnxruntime-node: the loop of @iqvae/runtime, with the exported graphs, beside `generate()` of transformers.js with the
// same weights, on the same onnxruntime-node, in turn in one process, one thread. Weights are of chance. One JSON line a case:
// medians and best rounds in milliseconds, of the processor and by the clock; ratios above 1 where ours is faster.
//
//     npm install --prefix bench/peers --ignore-scripts
//     node bench/runtime-node.mjs [--repeats 9]
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { onnxEngine, parseBundle, sampleTokens, tokenCounts } from "@iqvae/runtime";
import { writeExported } from "./exported.mjs";
import { median } from "./measure.mjs";
import { loadPeer, openPeer } from "./peers/transformers.mjs";

const { values } = parseArgs({ options: { repeats: { type: "string", default: "9" } } });
const { transformers, ort } = await openPeer();
const folder = mkdtempSync(join(tmpdir(), "bench-"));
try {
  await run();
} finally {
  rmSync(folder, { recursive: true });
}

async function run() {
  const parameters = await writeExported(folder, { preset: "start", type: "f32" });
  const theirs = await loadPeer(transformers, folder);
  const model = parseBundle(readFileSync(join(folder, "model.json"), "utf8"));
  const read = async (name) => new Uint8Array(readFileSync(join(folder, name)));
  const options = { intraOpNumThreads: 1, interOpNumThreads: 1 };
  const engine = await onnxEngine(ort, options)(model, new Map(), read);
  const counts = tokenCounts(model);
  const condition = Int32Array.from({ length: counts.conditionTokens }, (_, i) => (i * 37) % counts.conditionCodes);
  const ours = async (_, samples) => {
    const drawing = sampleTokens(counts, [condition], { samples });
    let step = drawing.next();
    while (!step.done) step = drawing.next(await engine.predict(step.value));
    return step.value;
  };
  console.error(
    `onnxruntime ${ort.env.versions.node}, transformers.js ${transformers.env.version}, load ${loadavg()[0].toFixed(2)}`,
  );
  for (const samples of [1, 8]) {
    const [a, b] = [[], []];
    for (let repeat = 0; repeat <= Number(values.repeats); repeat++) {
      const [mine, other] = [await timed(ours, condition, samples), await timed(theirs, condition, samples)];
      if (repeat === 0) continue; // it warms up
      a.push(mine);
      b.push(other);
    }
    const figures = { ours: figuresOf(a), theirs: figuresOf(b) };
    const ratio = (what, of) => figures.theirs[what][of] / figures.ours[what][of];
    const ratios = {
      ratio: ratio("cpu", "median"),
      wallRatio: ratio("wall", "median"),
      leastRatio: ratio("cpu", "least"),
    };
    console.log(JSON.stringify({ model: "start", parameters, samples, ...rounded({ ...figures, ...ratios }) }));
  }
  await engine.release();
}

async function timed(draw, condition, samples) {
  const [cpu, wall] = [process.cpuUsage(), performance.now()];
  const rows = await draw(condition, samples);
  const { user, system } = process.cpuUsage(cpu);
  if (rows.length !== samples || rows.some((row) => row.length !== 64))
    throw new Error(`drew ${rows.map((row) => row.length)}`);
  return { cpu: (user + system) / 1000, wall: performance.now() - wall };
}

function figuresOf(times) {
  const of = (what) => ({
    median: median(times.map((each) => each[what])),
    least: Math.min(...times.map((each) => each[what])),
  });
  return { cpu: of("cpu"), wall: of("wall") };
}

function rounded(figures) {
  return JSON.parse(JSON.stringify(figures, (_, x) => (typeof x === "number" ? Number(x.toFixed(2)) : x)));
}
