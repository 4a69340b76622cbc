import { pngOf } from "../media/index.ts";
import type { ImageEvent } from "./api.ts";
import { DrawerError } from "./drawer/drawer.ts";
import type { Picture } from "./drawer/protocol.ts";
import type { Mailbox } from "./mailbox.ts";
import { Problem } from "./problem.ts";
import { QueueFull } from "./queue.ts";

/** What a request is drawn as. */
export interface Answered {
  readonly model: string;
  readonly seed: number;
  readonly size: number;
  readonly samples: number;
}

/** All images of a request, in their order. */
export async function allImages(mailbox: Mailbox): Promise<Picture[]> {
  const pictures: Picture[] = [];
  for await (const event of mailbox) if (event.kind === "image") pictures.push(event);
  return pictures.sort((a, b) => a.sample - b.sample);
}

export async function imageOf({ sample, pixels }: Picture, size: number): Promise<{ sample: number; png: string }> {
  return { sample, png: (await pngOf(pixels, size)).toString("base64") };
}

/** A streamed answer, event by event; what goes wrong on the way is an event, too. */
export async function* eventsOf(mailbox: Mailbox, answered: Answered): AsyncGenerator<ImageEvent> {
  const { model, seed, size, samples } = answered;
  try {
    yield { event: "accepted", model, seed };
    for await (const event of mailbox) {
      if (event.kind === "progress") yield { event: "progress", share: event.share };
      else if (event.kind === "image") yield { event: "image", ...(await imageOf(event, size)) };
      else yield { event: "frame", share: event.share, ...(await imageOf(event, size)) };
    }
    yield { event: "done", images: samples };
  } catch (error) {
    yield { event: "error", problem: problemOf(error).body };
  }
}

/** What a client is told of an error. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof QueueFull)
    return new Problem(429, `${error.message}; come back in ${error.retryAfter} s`, {
      headers: { "Retry-After": String(error.retryAfter) },
    });
  if (error instanceof RangeError) return new Problem(422, error.message);
  if (error instanceof DrawerError)
    return new Problem(503, `The images were lost: ${error.message}; try again.`, { headers: { "Retry-After": "5" } });
  return new Problem(500, "A fault of the server; its log says more.");
}
