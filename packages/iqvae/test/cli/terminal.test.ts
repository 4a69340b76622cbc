import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, openSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { listCheckpoints } from "../../src/run/checkpoint.ts";
import { program, Workspace } from "./program.ts";

/* What the world outside does to a training: terminals are closed, readers leave, disks are full, folders are deleted. */

const workspace = new Workspace();
afterAll(() => workspace.remove());

const train = (name: string, ...settings: string[]) => [
  ...[process.execPath, program, "train", "tiny", "--name", name],
  ...["stage1.warmup=0", "stage2.warmup=0", ...settings].flatMap((setting) => ["--set", setting]),
];
const LONG = "stage1.steps=10000";
const SHORT = ["stage1.steps=6", "stage2.steps=2"];

/** Runs a command in the workspace, all of its streams as `stdio` says, and tells how it ended. */
function run(command: string[], stdio: ("ignore" | "pipe" | number)[] = ["ignore", "pipe", "pipe"]) {
  const [file, ...args] = command;
  // Of a locale that is not there some shells complain.
  const env = { ...workspace.env, LC_ALL: "C" };
  const child = spawn(file!, args, { cwd: workspace.path, env, stdio });
  const text = { out: "", err: "" };
  child.stdout?.on("data", (data) => (text.out += data));
  child.stderr?.on("data", (data) => (text.err += data));
  const ended = new Promise<{ code: number | null; out: string; err: string }>((done) =>
    child.on("close", (code) => done({ code, ...text })),
  );
  return { child, ended };
}

function expectSaved(name: string): void {
  expect(listCheckpoints(workspace.at("runs", name, "checkpoints"), "stage1")[0]?.step).toBeGreaterThan(0);
  expect(existsSync(workspace.at("runs", name, "lock.json"))).toBe(false);
}

describe("a terminal that is closed", () => {
  const script = fileURLToPath(new URL("terminal.py", import.meta.url));
  const inTerminal = (marker: string, command: string[]) => run(["python3", script, marker, ...command]).ended;
  const python = spawnSync("python3", ["-c", "import pty"]).status === 0;

  test.skipIf(!python)("is taken as SIGHUP: the training saves and ends with 129", async () => {
    const { out, err } = await inTerminal("of 10000", train("closed", LONG));
    expect({ out: out.trim(), err }).toEqual({ out: "129", err: "" });
    expectSaved("closed");
  });

  test.skipIf(!python)("is nothing to a training under nohup, which goes on to its end", async () => {
    // The shell waits, so that it ends only when the training does or the hang-up strikes it.
    const command = ["sh", "-c", 'nohup "$@"; true', "sh", ...train("nohup", ...SHORT)];
    const begun = workspace.at("runs/nohup/lock.json");
    await inTerminal(begun, command);
    const lock = workspace.at("runs/nohup/lock.json");
    while (existsSync(lock)) await new Promise((done) => setTimeout(done, 100));
    expect(listCheckpoints(workspace.at("runs/nohup/checkpoints"), "stage2")[0]?.step).toBe(2);
  });
});

test("a reader that leaves ends the training after its step: saved, unlocked, 141, and said on standard error", async () => {
  const { child, ended } = run(train("head", LONG));
  // Sooner it would find nothing that is learned yet.
  child.stdout!.on("data", (data) => String(data).includes("of 10000") && child.stdout!.destroy());
  const { code, err } = await ended;
  expect(code).toBe(141);
  expect(err).toMatch(/^Saved runs\/head at step \d+ of 10000 of stage1\. Go on: npx iqvae resume runs\/head\n$/);
  expectSaved("head");
});

test("output to a disk that is full ends the training after its step: saved at the step that it says, and unlocked", async ({
  skip,
}) => {
  // A device of our own that has never room, as the machine's /dev/full has not.
  if (spawnSync("mknod", [workspace.at("full"), "c", "1", "7"]).status !== 0) skip("this process may not make devices");
  const full = openSync(workspace.at("full"), "w");
  const { code, err } = await run(train("full", LONG), ["ignore", full, "pipe"]).ended;
  expect(code).toBe(1);
  // The first sentence is lost already, so that the first step may not be made.
  const step = Number(/^Saved runs\/full at step (\d+) of 10000 of stage1\./m.exec(err)?.[1]);
  expect(listCheckpoints(workspace.at("runs/full/checkpoints"), "stage1")[0]?.step ?? 0).toBe(step);
  expect(existsSync(workspace.at("runs/full/lock.json"))).toBe(false);
  expect(err).toContain("ENOSPC");
  // A command without anything to save says by its status, too, that not all was said.
  expect((await run([process.execPath, program, "doctor"], ["ignore", full, "pipe"]).ended).code).toBe(1);
});

test("a working folder that was deleted is named", async () => {
  const folder = workspace.at("deleted");
  mkdirSync(folder);
  const command = ["sh", "-c", `cd "${folder}" && rmdir "${folder}" && exec "$@"`, "sh", ...train("never")];
  const { code, out, err } = await run(command).ended;
  expect({ code, out }).toEqual({ code: 1, out: "" });
  expect(err).toMatch(/^The working folder was deleted\./);
});
