// Measures ours and its peers side by side: `npm run bench -- [NAME…] [--json] [--repeats N]`.
import { availableParallelism, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { torchVersion } from "@iqvae/torch";
import { fastPrecision } from "../packages/iqvae/dist/support/precision.js";
import { processor } from "../packages/iqvae/dist/support/processor.js";
import { BENCHES } from "./benches.mjs";
import { findPython, measure, median } from "./measure.mjs";

const { values, positionals: names } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "boolean", default: false }, repeats: { type: "string", default: "3" } },
});
const repeats = Number(values.repeats);
if (!Number.isInteger(repeats) || repeats < 1)
  fail(`--repeats takes a whole number of at least 1, not '${values.repeats}'`);
const known = BENCHES.map((bench) => bench.name);
const unknown = names.filter((name) => !known.includes(name));
if (unknown.length > 0) fail(`no bench named ${unknown.join(", ")}; there are ${known.join(", ")}`);
const benches = BENCHES.filter((bench) => names.length === 0 || names.includes(bench.name));

const python = findPython(process.env.PYTHON);
const python2x = process.env.PYTHON2X ? findPython(process.env.PYTHON2X) : undefined;
const threads = availableParallelism();
if (python === undefined)
  note(
    `no Python with PyTorch found${process.env.PYTHON ? ` at ${process.env.PYTHON} (from PYTHON)` : ""}: only our own figures ` +
      "follow. For the peers: apt-get install python3-torch, or name a Python that has it: PYTHON=/path/to/python3 npm run bench",
  );
else if (!sameRelease(python.torch, torchVersion()))
  note(
    `the peers run on PyTorch ${python.torch}, ours on libtorch ${torchVersion()}: the libraries' own speed differs too`,
  );
if (process.env.PYTHON2X)
  note(
    python2x
      ? `PyTorch 2.x: ${python2x.torch}`
      : `no PyTorch found at ${process.env.PYTHON2X} (from PYTHON2X): its rows stay empty`,
  );
note(
  `${processor().name}, ${fastPrecision()}, ${threads} threads, load ${loadavg()[0].toFixed(2)}, ${repeats} rounds; ours and peers in turn, each in a fresh process`,
);

/** All figures of a command, one entry a round. */
const results = new Map();
const failures = new Map();
for (let round = 1; round <= repeats; round++)
  for (const bench of benches) for (const command of [bench.ours, ...bench.theirs]) await once(command, round);

report(benches.map(summarize));
for (const reason of failures.values()) note(`failed: ${reason.split("\n").join("\n  ")}`);
if (failures.size > 0) process.exitCode = 1;

/** Several benches share a command (speed and memory of one run): it runs once a round. */
async function once(command, round) {
  const done = results.get(command) ?? [];
  if (done.length >= round || failures.has(command)) return;
  const interpreter = (command.current ? python2x : python)?.path;
  if (command.script.endsWith(".py") && interpreter === undefined) return;
  const circumstances = `${command.env?.MALLOC_TOP_PAD_ ? " tuned allocator and BLAS" : ""}${command.current ? " PyTorch 2.x" : ""}${command.busy ? " beside a busy process" : ""}`;
  note(`round ${round}: ${command.script} ${(command.flags ?? []).join(" ")}${circumstances}`);
  try {
    const fields = await measure(command, { python: interpreter, threads });
    results.set(command, [...done, fields]);
    // A whole round takes long: what is measured is not lost when it is ended early.
    note(`  ${[...fields].map(([name, value]) => `${name} ${value.toPrecision(4)}`).join(", ")}`);
  } catch (error) {
    failures.set(command, error.message);
  }
}

function figure(command, metric) {
  const rounds = (results.get(command) ?? []).flatMap((fields) => fields.get(metric) ?? []);
  return rounds.length === 0 ? null : median(rounds);
}

function summarize(bench) {
  const ours = figure(bench.ours, bench.metric);
  const theirs = best(
    bench.theirs.map((command) => figure(command, bench.metric)),
    bench.better,
  );
  requireSameModel(bench);
  return { bench, ours, theirs, ratio: ratioOf(bench, ours, theirs) };
}

/** Above 1 ours is better. Without a peer the figure itself counts. */
function ratioOf({ theirs: peers, better }, ours, theirs) {
  if (peers.length === 0) return ours;
  if (ours === null || theirs === null) return null;
  return better === "more" ? ours / theirs : theirs / ours;
}

function best(figures, better) {
  const known = figures.filter((value) => value !== null);
  if (known.length === 0) return null;
  return better === "more" ? Math.max(...known) : Math.min(...known);
}

/** Scripts that build a model print how many parameters it has: different counts would be different models. */
function requireSameModel(bench) {
  const ours = figure(bench.ours, "parameters");
  for (const theirs of bench.theirs.map((command) => figure(command, "parameters")))
    if (ours !== null && theirs !== null && ours !== theirs)
      failures.set(
        bench,
        `${bench.name}: our model has ${ours} parameters and the peer's ${theirs}; no ratio means anything`,
      );
}

function report(rows) {
  if (values.json) {
    for (const { bench, ours, theirs, ratio } of rows)
      console.log(
        JSON.stringify({ bench: bench.name, ours, peer: bench.peer, theirs, unit: bench.unit, ratio: rounded(ratio) }),
      );
    return;
  }
  const cells = rows.map(({ bench, ours, theirs, ratio }) => [
    bench.name,
    shown(ours),
    shown(theirs),
    bench.unit,
    ratio === null ? "–" : ratio.toFixed(2),
    String(bench.least ?? "–"),
    String(bench.aim ?? "–"),
    verdict(bench, ratio),
    bench.peer,
  ]);
  const table = [["bench", "ours", "theirs", "unit", "ratio", "least", "aim", "", "peer"], ...cells];
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  for (const row of table)
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join("  ")
        .trimEnd(),
    );
}

function verdict({ least, aim }, ratio) {
  if (ratio === null || least === undefined) return "";
  if (ratio < least) return "below";
  return ratio < aim ? "ok" : "reached";
}

function shown(value) {
  return value === null ? "–" : String(Number(value.toPrecision(4)));
}

function rounded(ratio) {
  return ratio === null ? null : Number(ratio.toFixed(3));
}

function sameRelease(a, b) {
  const release = (version) =>
    version
      .split(/[^0-9.]/)[0]
      .split(".")
      .slice(0, 2)
      .join(".");
  return release(a) === release(b);
}

/** To the error stream, so that `--json` stays clean. */
function note(text) {
  console.error(text);
}

function fail(text) {
  note(text);
  process.exit(2);
}
