import { type ChildProcess, type ForkOptions, fork } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Ended } from "./program.ts";

const script = fileURLToPath(new URL("host.mjs", import.meta.url));

/**
 * A process that runs one command of the compiled program after another. It has loaded libtorch already, which takes most commands longer
 * than their work. What a command does to its process, and signals, need a process of their own.
 */
export class Host {
  #child: ChildProcess | undefined;

  constructor(private readonly options: Pick<ForkOptions, "cwd" | "env">) {}

  /** Runs a command; one at a time. Should the process end, the next command begins another. */
  async run(args: readonly string[]): Promise<Ended> {
    this.#child ??= fork(script, { ...this.options, execArgv: [], stdio: ["ignore", "pipe", "pipe", "ipc"] });
    const child = this.#child;
    const [out, err] = [written(child.stdout!), written(child.stderr!)];
    const ended = new AbortController();
    const { signal } = ended;
    const closed = once(child, "close", { signal }).then(([code, by]) => {
      this.#child = undefined;
      return { code, signal: by };
    });
    const told = once(child, "message", { signal }).then(async ([code]) => {
      await Promise.all([out.whole, err.whole]);
      return { code, signal: null };
    });
    child.send(args);
    const how = (await Promise.race([closed, told])) as Pick<Ended, "code" | "signal">;
    for (const promise of [closed, told]) promise.catch(() => {});
    ended.abort();
    return { ...how, out: out.text(), err: err.text() };
  }

  close(): void {
    this.#child?.kill();
  }
}

/** What a stream says from now on up to a NUL. */
function written(stream: Readable) {
  let text = "";
  const whole = new Promise<void>((done) => {
    const take = (part: string) => {
      text += part;
      if (!text.endsWith("\0")) return;
      text = text.slice(0, -1);
      stream.off("data", take);
      done();
    };
    stream.setEncoding("utf8").on("data", take);
  });
  return { whole, text: () => text };
}
