import { expect, test } from "vitest";
import { type DrawEvent, Mailbox } from "../../src/serve/mailbox.ts";

const pixels = new Uint8Array(3);
const progress = (share: number): DrawEvent => ({ kind: "progress", share });
const frame = (sample: number, share: number): DrawEvent => ({ kind: "frame", sample, share, pixels });
const image = (sample: number): DrawEvent => ({ kind: "image", sample, pixels });

async function all(mailbox: Mailbox): Promise<DrawEvent[]> {
  const events: DrawEvent[] = [];
  for await (const event of mailbox) events.push(event);
  return events;
}

test("a slow reader finds the newest of everything, and all images", async () => {
  const mailbox = new Mailbox();
  for (const share of [0.1, 0.2, 0.3]) {
    mailbox.push(frame(0, share));
    mailbox.push(frame(1, share));
    mailbox.push(progress(share));
  }
  mailbox.push(image(0));
  mailbox.end();
  expect(await all(mailbox)).toEqual([frame(1, 0.3), progress(0.3), image(0)]);
});

test("a reader who is there gets everything", async () => {
  const mailbox = new Mailbox();
  const reading = all(mailbox);
  const events = [frame(0, 0.5), progress(0.5), frame(0, 0.8), image(0)];
  for (const event of events) {
    mailbox.push(event);
    await new Promise(setImmediate);
  }
  mailbox.end();
  expect(await reading).toEqual(events);
});

test("after an error nothing else comes, and the end is told once", async () => {
  let ends = 0;
  const mailbox = new Mailbox(() => ends++);
  mailbox.push(image(0));
  mailbox.end(new Error("hung up"));
  mailbox.end();
  mailbox.push(image(1));
  await expect(all(mailbox)).rejects.toThrow("hung up");
  expect([ends, mailbox.ended]).toEqual([1, true]);
});
