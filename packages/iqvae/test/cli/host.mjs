/*
 * Runs one command of the compiled program after another. `host.ts` sends the arguments; a NUL in both streams and a message with the
 * exit code say that a command is over.
 */
const main = new URL("../../dist/cli/main.js", import.meta.url).href;
const [node] = process.argv;

/** What `process.exit` was called with: the command is over, and what it does on its way up does not count. */
let exited;
process.exit = (code = 0) => {
  exited ??= code;
  for (const stream of [process.stdout, process.stderr]) stream.write = () => true;
  throw new Error("This process goes on");
};

let commands = 0;
process.on("message", async (args) => {
  process.argv = [node, "iqvae", ...args];
  process.exitCode = undefined;
  // Of the modules the entry alone is evaluated anew: that is done when its command is.
  await import(`${main}?command=${commands++}`).catch((error) => {
    if (exited === undefined) throw error;
  });
  for (const stream of [process.stdout, process.stderr]) {
    delete stream.write;
    stream.write("\0");
  }
  forgetListeners();
  process.send(exited ?? process.exitCode ?? 0);
  exited = undefined;
});

const emitters = [process, process.stdout, process.stderr];
const own = new Set(emitters.flatMap((emitter) => emitter.eventNames().flatMap((name) => emitter.rawListeners(name))));

/** A command listens to the end of its process, and to its signals. */
function forgetListeners() {
  for (const emitter of emitters)
    for (const name of emitter.eventNames())
      for (const listener of emitter.rawListeners(name)) if (!own.has(listener)) emitter.off(name, listener);
}
