import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { MetricsLog } from "../../../src/run/metrics-log.ts";
import { crc32c, maskedCrc32c } from "../../../src/run/tensorboard/crc32c.ts";
import { EventLog } from "../../../src/run/tensorboard/event-log.ts";
import { encodeEvent } from "../../../src/run/tensorboard/events.ts";
import { temporaryFolder } from "../support.ts";

describe("CRC-32C", () => {
  const ascending = Uint8Array.from({ length: 32 }, (_, i) => i);
  test.each([
    // RFC 3720, appendix B.4
    [new Uint8Array(32), 0x8a9136aa],
    [new Uint8Array(32).fill(255), 0x62a8ab43],
    [ascending, 0x46dd794e],
    [ascending.toReversed(), 0x113fdb5c],
    [new TextEncoder().encode("123456789"), 0xe3069283],
    [new Uint8Array(0), 0],
  ])("%j", (bytes, crc) => {
    expect(crc32c(bytes)).toBe(crc);
    // The mask can be undone.
    const turned = (maskedCrc32c(bytes) - 0xa282ead8) >>> 0;
    expect(((turned >>> 17) | (turned << 15)) >>> 0).toBe(crc);
  });
});

/** The records of a file with both of their checksums looked at. */
function records(file: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    expect(file.readUInt32LE(at + 8)).toBe(maskedCrc32c(file.subarray(at, at + 8)));
    const bytes = file.subarray(at + 12, at + 12 + length);
    expect(file.readUInt32LE(at + 12 + length)).toBe(maskedCrc32c(bytes));
    found.push(bytes);
    at += 16 + length;
  }
  return found;
}

test("events are, byte for byte, those that TensorBoard writes", () => {
  const golden = readFileSync(new URL("../../goldens/events.tfevents", import.meta.url));
  const ours = [
    encodeEvent({ kind: "version", wallTime: 1.5e9, step: 0 }),
    encodeEvent({ kind: "start", wallTime: 1.5e9 + 0.25, step: 7 }),
    encodeEvent({
      kind: "scalars",
      wallTime: 1.5e9 + 1,
      step: 7,
      values: { "stage1/loss": 0.1, "stage1/größe": -3e38 },
    }),
    encodeEvent({
      kind: "image",
      wallTime: 1.5e9 + 2,
      step: 2 ** 40 + 1,
      tag: "stage2/samples",
      width: 300,
      height: 2,
      png: Uint8Array.from({ length: 256 }, (_, i) => i),
    }),
  ];
  expect(records(golden)).toHaveLength(4);
  expect(Buffer.concat(ours)).toEqual(golden);
});

describe("the event files of a run", () => {
  const files = (folder: string, stage: string, split: string) => {
    const path = join(folder, stage, split);
    return readdirSync(path)
      .sort()
      .map((name) => records(readFileSync(join(path, name))));
  };
  const said = (events: readonly Buffer[], text: string) => events.filter((event) => event.includes(text)).length;

  test("hold each figure of the log, by stage and split, and pictures", async () => {
    const folder = temporaryFolder();
    const log = new MetricsLog(join(folder, "metrics.jsonl"));
    const events = new EventLog(join(folder, "tensorboard"));
    log.mirror(events);
    log.append({ stage: "stage1", step: 5, split: "train", loss: 0.5, rate: 0.1 });
    log.append({ stage: "stage1", step: 10, split: "train", loss: 0.4, rate: 0.1 });
    log.append({ stage: "stage1", step: 10, split: "validation", loss: 0.6 });
    const picture = join(folder, "picture.png");
    const made = sharp({ create: { width: 7, height: 300, channels: 3, background: "#123" } });
    writeFileSync(picture, await made.png().toBuffer());
    events.picture("stage1", 10, "reconstructions", picture);
    log.flush();
    log.close();
    events.close();

    const [train] = files(join(folder, "tensorboard"), "stage1", "train");
    expect(train).toHaveLength(4);
    expect(said(train!, "brain.Event:2")).toBe(1);
    expect(said(train!, "stage1/loss")).toBe(2);
    expect(said(train!, "stage1/rate")).toBe(2);
    const [held] = files(join(folder, "tensorboard"), "stage1", "validation");
    expect(held).toHaveLength(4);
    expect(held!.at(-1)!.includes(readFileSync(picture))).toBe(true);
    expect(held!.at(-1)!.includes(Buffer.from([0x08, 0xac, 0x02, 0x10, 7, 0x18, 3]))).toBe(true); // 300 high, 7 wide, RGB
  });

  test("of a session that goes on are new, come later, and void what lies beyond the checkpoint", () => {
    const folder = temporaryFolder();
    const session = (...steps: number[]) => {
      const events = new EventLog(folder);
      events.cutBack("stage1", steps[0]! - 1);
      for (const step of steps) events.append({ stage: "stage1", step, split: "train", loss: 1 / step });
      events.close();
    };
    session(1, 2, 3);
    session(3, 4);
    session(5);
    const sessions = files(folder, "stage1", "train"); // in the order in which TensorBoard reads them
    expect(sessions.map((events) => said(events, "stage1/loss"))).toEqual([3, 2, 1]);
    // Step, session log: start. TensorBoard's slow loader drops nothing at the first one, so the first session has one, too.
    const start = (step: number) => [...(step === 0 ? [] : [0x10, step]), 0x3a, 2, 8, 1];
    expect(sessions.map((events) => [...events[1]!.subarray(9)])).toEqual([0, 3, 5].map(start));
    const starts = sessions.flat().filter((event) => event.subarray(-4).equals(Buffer.from(start(0))));
    expect(starts).toHaveLength(3);
  });

  test("come later even where the clock was turned back", () => {
    const folder = temporaryFolder();
    const path = join(folder, "stage2", "train");
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, "events.out.tfevents.9999999990.host.1.0"), "");
    const events = new EventLog(folder);
    events.append({ stage: "stage2", step: 1, split: "train", loss: 1 });
    events.close();
    expect(readdirSync(path).sort().at(-1)).toMatch(/^events\.out\.tfevents\.9999999991\./);
  });
});
