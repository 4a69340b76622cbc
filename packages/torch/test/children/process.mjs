// What a process has and does after an import, and after tuneProcess(); prints one JSON line.
const libtorch = () => process.report.getReport().sharedObjects.some((path) => path.includes("libtorch"));
const { getNumThreads, tensor, tuneProcess } = await import(process.argv[2]);
const afterImport = { libtorch: libtorch(), environment: { ...process.env } };
if (process.argv[3] === "late") tensor([1]).dispose();
if (process.argv[3] !== "") tuneProcess();
const afterTuning = libtorch();
tensor([1]).dispose();
console.log(
  JSON.stringify({
    afterImport,
    afterTuning,
    inUse: libtorch(),
    threads: getNumThreads(),
    spins: process.env.GOMP_SPINCOUNT,
  }),
);
