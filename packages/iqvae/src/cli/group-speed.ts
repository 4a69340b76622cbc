import { allReduce, groupBackends, ops, processGroup, scope } from "@iqvae/torch";

/** Float32 values of a message: what a scalar costs is latency, and the largest are gradients. */
const SIZES = [1, 1_000, 100_000, 1_000_000, 10_000_000, 40_000_000];
const REPEATS = 7;

/** How fast the processes of a group add up messages of a size. */
export interface MessageSpeed {
  readonly bytes: number;
  /** Seconds of the quickest, and the median. */
  readonly best: number;
  readonly median: number;
  /** Bytes a second over the bus, `2·(N−1)/N · bytes / best`, as `busbw` of nccl-tests. */
  readonly bus: number;
}

/** Times all-reductions of the default device, through the operators that training uses. All ranks must call it. */
export function groupSpeed(device: string): MessageSpeed[] {
  const size = processGroup()?.size ?? 1;
  return SIZES.map((count) =>
    scope(() => {
      const message = ops.aten.ones([count], { device });
      const times = Array.from({ length: REPEATS + 1 }, () => {
        const began = performance.now();
        allReduce(message);
        message.slice(0, 0, 1).read("float32"); // Waits for a GPU.
        message.fill_(1);
        return (performance.now() - began) / 1000;
      });
      const sorted = times.slice(1).sort((a, b) => a - b); // The first opens connections.
      const [best, median] = [sorted[0]!, sorted[Math.floor(REPEATS / 2)]!];
      const bytes = 4 * count;
      return { bytes, best, median, bus: ((2 * (size - 1)) / size) * (bytes / best) };
    }),
  );
}

/** What the group is, in words. */
export function groupInWords(device: string): string {
  const group = processGroup();
  const onCpu = device === "cpu";
  const by = group?.nccl === true && !onCpu ? "NCCL" : group?.sharedMemory === true && onCpu ? "shared memory" : "Gloo";
  return `${group?.size ?? 1} processes by ${by} on ${device} (the addon has ${groupBackends().join(", ") || "none"})`;
}
