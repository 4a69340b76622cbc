/** Something to be done, perhaps after something else. */
export interface Job<T> {
  readonly subject: T;
  readonly after: T | null;
}

/** How each subject ended; those that were never begun are not among them. */
export type Outcomes<T> = Map<T, "done" | Error>;

/**
 * Does all jobs, up to `parallel` at a time, each after the one that it waits for. A job that fails takes those with it that wait
 * for it, and no others.
 *
 * @param stopped once it is true, no further job is begun
 */
export async function schedule<T>(
  jobs: readonly Job<T>[],
  parallel: number,
  work: (subject: T) => Promise<void>,
  stopped: () => boolean = () => false,
): Promise<Outcomes<T>> {
  const outcomes: Outcomes<T> = new Map();
  const open = [...jobs];
  const running = new Set<Promise<void>>();

  const begin = ({ subject }: Job<T>) => {
    const one = work(subject)
      .then(() => outcomes.set(subject, "done"))
      .catch((error: unknown) => outcomes.set(subject, error instanceof Error ? error : new Error(String(error))))
      .then(() => void running.delete(one));
    running.add(one);
  };
  const statusOf = ({ after }: Job<T>) => (after === null ? "done" : outcomes.get(after));

  while (open.length > 0 && !stopped()) {
    const next = open.findIndex((job) => statusOf(job) !== undefined);
    if (next >= 0 && running.size < parallel) {
      const [job] = open.splice(next, 1);
      const before = statusOf(job!);
      if (before === "done") begin(job!);
      else outcomes.set(job!.subject, new Error("what it builds on failed"));
      continue;
    }
    if (running.size === 0) break; // They wait for something that is not among the jobs.
    await Promise.race(running);
  }
  await Promise.all(running);
  return outcomes;
}
