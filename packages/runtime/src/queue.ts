/** Lets one at a time through, in the order in which they came. */
export class Turns {
  #last: Promise<void> = Promise.resolve();

  /**
   * Waits for all who came before.
   *
   * @returns what has to be called at the end of the turn
   * @throws what the signal says, as soon as it is aborted meanwhile
   */
  async take(signal?: AbortSignal): Promise<() => void> {
    const before = this.#last;
    let end = () => {};
    this.#last = new Promise((resolve) => {
      end = resolve;
    });
    try {
      await (signal === undefined ? before : unlessAborted(before, signal));
      return end;
    } catch (reason) {
      void before.then(end); // those behind still wait for those before
      throw reason;
    }
  }
}

/** The end of something, or of the wait for it. */
async function unlessAborted(something: Promise<void>, signal: AbortSignal): Promise<void> {
  let forget = () => {};
  const aborted = new Promise<void>((_, reject) => {
    forget = onAbort(signal, () => reject(signal.reason));
  });
  try {
    if (!signal.aborted) await Promise.race([something, aborted]);
    signal.throwIfAborted();
  } finally {
    forget();
  }
}

const heard = new WeakMap<EventTarget, Set<() => void>>();

/**
 * Calls when a signal is aborted. All calls of a signal share one listener: from the eleventh on, Node.js would warn of a leak.
 *
 * @returns what has to be called when nobody waits for it any more
 */
export function onAbort(signal: AbortSignal, call: () => void): () => void {
  const calls = heard.get(signal) ?? new Set();
  heard.set(signal, calls.add(call));
  signal.addEventListener("abort", tellAll); // once, as it is the same function each time
  return () => {
    calls.delete(call);
    if (calls.size === 0) signal.removeEventListener("abort", tellAll);
  };
}

function tellAll({ target }: Event): void {
  for (const call of [...heard.get(target!)!]) call();
}

/** Work is interrupted after this many milliseconds, so that a page can paint and abort. */
const BREATH = 12;
let since = 0;

/** Lets other events happen, if that is long ago. */
export async function breathe(): Promise<void> {
  if (performance.now() - since < BREATH) return;
  await new Promise<void>(afterOthers);
  since = performance.now();
}

/** By `setTimeout` only where there is nothing else, as in jsdom: browsers let it wait for 4 ms. */
function afterOthers(resolve: () => void): void {
  if (typeof setImmediate === "function") {
    setImmediate(resolve);
    return;
  }
  if (typeof MessageChannel === "undefined") {
    setTimeout(resolve);
    return;
  }
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    resolve();
  };
  port2.postMessage(undefined);
}
