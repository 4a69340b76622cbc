import { type Drawer, DrawerError } from "./drawer/drawer.ts";
import type { Part, Sampling } from "./drawer/protocol.ts";
import type { Limits } from "./limits.ts";
import { Mailbox } from "./mailbox.ts";

/** What a request asks for, once it was checked. */
export interface Job {
  readonly model: string;
  readonly condition: Uint8Array;
  readonly sampling: Sampling;
  /** The number of the first sample, and how many there are. */
  readonly firstSample: number;
  readonly samples: number;
  /** Whether unfinished images are wanted on the way. */
  readonly frames: boolean;
}

/** There is no room for a request now. */
export class QueueFull extends Error {
  override readonly name = "QueueFull";
  /** @param retryAfter in how many seconds there should be */
  constructor(
    message: string,
    readonly retryAfter: number,
  ) {
    super(message);
  }
}

/** What is told of the queue's work, to be counted. */
export interface QueueMeter {
  /** @param images of it that were drawn, for somebody who waited until they were */
  batch(model: string, images: number, seconds: number): void;
  /** Images that were asked for, but that nobody waits for any more. */
  dropped(model: string, images: number): void;
  /** What draws was lost. */
  lost(reason: string): void;
}

/** A job on its way. */
interface Ticket {
  readonly job: Job;
  readonly mailbox: Mailbox;
  /** Samples that wait. */
  left: readonly Samples[];
  /** How many were drawn. */
  drawn: number;
  /** Whether a drawer was lost that drew some of it: these were asked for again, once. */
  again: boolean;
}

interface Samples {
  readonly first: number;
  readonly count: number;
}

/** Samples of a ticket in a batch. */
interface Share extends Samples {
  readonly ticket: Ticket;
  /** How much of them is drawn, 0 to 1. */
  done: number;
}

const countOf = (samples: readonly Samples[]) => samples.reduce((sum, { count }) => sum + count, 0);

/** A place for a drawer. */
interface Slot {
  drawer: Drawer | undefined;
  batch: readonly Share[];
}

/** Milliseconds until a drawer that cannot be started is tried again. */
const AGAIN_AFTER = 2000;
/** The weight of the newest batch in the time that an image takes. */
const NEWS = 0.2;

/**
 * Requests that wait for their images. Images of the same model are drawn together, whoever asked for them; each batch takes from all who
 * wait, in turn, so that one who wants many does not keep others from theirs.
 */
export class Queue {
  readonly #start: (onLost: (reason: string) => void) => Promise<Drawer>;
  readonly #limits: Pick<Limits, "queue" | "batch" | "seconds">;
  readonly #meter: QueueMeter;
  readonly #slots: Slot[];
  #waiting: Ticket[] = [];
  #secondsAnImage = 0.1;
  #closed = false;
  #idle = () => {};

  private constructor(
    start: (onLost: (reason: string) => void) => Promise<Drawer>,
    count: number,
    limits: Pick<Limits, "queue" | "batch" | "seconds">,
    meter: QueueMeter,
  ) {
    this.#start = start;
    this.#limits = limits;
    this.#meter = meter;
    this.#slots = Array.from({ length: count }, () => ({ drawer: undefined, batch: [] }));
  }

  /**
   * @param start starts a drawer, with what to call when it is lost
   * @param count how many there are
   * @throws whatever `start` throws
   */
  static async open(
    start: (onLost: (reason: string) => void) => Promise<Drawer>,
    count: number,
    limits: Pick<Limits, "queue" | "batch" | "seconds">,
    meter: QueueMeter,
  ): Promise<Queue> {
    const queue = new Queue(start, count, limits, meter);
    try {
      await Promise.all(queue.#slots.map((slot) => queue.#fill(slot)));
    } catch (error) {
      queue.close();
      throw error;
    }
    return queue;
  }

  /** What draws with each model, for people. */
  get engines(): Readonly<Record<string, string>> {
    return this.#slots.find(({ drawer }) => drawer)?.drawer?.engines ?? {};
  }

  /** Images that wait, and images that are being drawn. */
  get load(): { readonly waiting: number; readonly drawing: number } {
    return {
      waiting: countOf(this.#waiting.flatMap(({ left }) => left)),
      drawing: countOf(this.#slots.flatMap(({ batch }) => batch)),
    };
  }

  /** Whether anything can be drawn now. */
  get ready(): boolean {
    return this.#slots.some(({ drawer }) => drawer !== undefined);
  }

  /**
   * Takes a job.
   *
   * @param signal ends it: what of it waits is forgotten, what is being drawn is not waited for
   * @throws QueueFull when there is no room for it
   * @returns what comes of it; it throws what the signal says, RangeError for what the model refuses, DrawerError when what draws is lost
   */
  take(job: Job, signal: AbortSignal): Mailbox {
    signal.throwIfAborted();
    this.#expectRoom(job.samples);
    const abort = () => this.#drop(ticket, signal.reason);
    const mailbox = new Mailbox(() => signal.removeEventListener("abort", abort));
    const left = [{ first: job.firstSample, count: job.samples }];
    const ticket: Ticket = { job, mailbox, left, drawn: 0, again: false };
    signal.addEventListener("abort", abort, { once: true });
    this.#waiting.push(ticket);
    this.#next();
    return ticket.mailbox;
  }

  /** @throws QueueFull when too many images wait, or more than are drawn in the time that a request has */
  #expectRoom(samples: number): void {
    const { waiting, drawing } = this.load;
    // A request that is larger than the queue is never too large for an empty one.
    if (waiting === 0) return;
    const seconds = (count: number) => (count * this.#secondsAnImage) / this.#slots.length;
    const ahead = seconds(waiting + drawing);
    const { queue, seconds: most } = this.#limits;
    const reason =
      waiting + samples > queue
        ? `there is room for ${queue}`
        : ahead + seconds(samples) > most
          ? `they take about ${Math.ceil(ahead)} of the ${most} seconds that a request has`
          : undefined;
    if (reason === undefined) return;
    const retryAfter = Math.ceil(Math.min(600, Math.max(1, ahead / 2)));
    throw new QueueFull(`${waiting} images wait already, and ${reason}: too many for ${samples} more`, retryAfter);
  }

  /** Waits until nothing is left to draw. */
  async drain(): Promise<void> {
    while (this.#waiting.length > 0 || this.#slots.some(({ batch }) => batch.length > 0))
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
  }

  /** Ends all that draws. What is left is told so. */
  close(): void {
    this.#closed = true;
    for (const { drawer } of this.#slots) drawer?.end();
    for (const { mailbox } of this.#waiting.splice(0)) mailbox.end(new DrawerError("the server has ended"));
  }

  /** Puts a drawer into a slot. */
  async #fill(slot: Slot): Promise<void> {
    const drawer = await this.#start((reason) => {
      slot.drawer = undefined;
      this.#meter.lost(reason);
      if (!this.#closed) this.#refill(slot);
    });
    if (this.#closed) drawer.end();
    else slot.drawer = drawer;
    this.#next();
  }

  #refill(slot: Slot): void {
    this.#fill(slot).catch((error: Error) => {
      this.#meter.lost(error.message);
      setTimeout(() => this.#closed || this.#refill(slot), AGAIN_AFTER).unref();
    });
  }

  #next(): void {
    for (const slot of this.#slots) {
      if (slot.drawer === undefined || slot.batch.length > 0 || this.#waiting.length === 0) continue;
      this.#run(slot, slot.drawer).catch((error: unknown) => {
        // Nothing may be lost silently.
        for (const { ticket } of slot.batch) this.#end(ticket, error);
        slot.batch = [];
      });
    }
    this.#idle();
  }

  async #run(slot: Slot, drawer: Drawer): Promise<void> {
    const batch = this.#nextBatch();
    slot.batch = batch;
    const { model } = batch[0]!.ticket.job;
    const parts = batch.map(({ ticket: { job }, first, count }): Part => {
      const { condition, sampling, frames } = job;
      return { condition, sampling, first, count, frames };
    });
    const started = performance.now();
    try {
      const drawn = await drawer.draw(model, parts, {
        onProgress: (done) => {
          for (const share of batch) {
            share.done = done;
            this.#tellProgress(share.ticket);
          }
        },
        onFrame: (part, share, { sample, pixels }) =>
          batch[part]!.ticket.mailbox.push({ kind: "frame", share, sample, pixels }),
      });
      const seconds = (performance.now() - started) / 1000;
      const images = countOf(batch.filter((_, i) => drawn[i]?.kind === "pictures"));
      // Images that were dropped on the way took less time than one takes.
      if (images === countOf(batch)) this.#secondsAnImage += NEWS * (seconds / images - this.#secondsAnImage);
      this.#meter.batch(model, images, seconds);
      for (const [i, { ticket }] of batch.entries()) {
        const result = drawn[i] ?? { kind: "dropped" };
        if (result.kind === "refused") this.#end(ticket, new RangeError(result.message));
        if (result.kind === "pictures") this.#deliver(ticket, result.pictures);
      }
    } catch (error) {
      for (const share of batch) this.#comeBack(share, error);
    } finally {
      slot.batch = [];
    }
    this.#next();
  }

  /** Images of the model that waits longest, from all who wait for it, one from each in turn. */
  #nextBatch(): Share[] {
    const { model } = this.#waiting[0]!.job;
    const tickets = this.#waiting.filter(({ job }) => job.model === model);
    const counts = tickets.map(() => 0);
    for (let room = this.#limits.batch; room > 0; ) {
      const before = room;
      for (const [i, { left }] of tickets.entries())
        if (room > 0 && counts[i]! < left[0]!.count) {
          counts[i]!++;
          room--;
        }
      if (room === before) break;
    }
    const shares = tickets.flatMap((ticket, i) => {
      const [{ first, count } = { first: 0, count: 0 }, ...others] = ticket.left;
      const given = counts[i]!;
      if (given === 0) return [];
      ticket.left = given < count ? [{ first: first + given, count: count - given }, ...others] : others;
      return [{ ticket, first, count: given, done: 0 }];
    });
    // Who got some and wants more goes to the end of the line.
    const served = new Set(shares.map(({ ticket }) => ticket));
    const more = [...served].filter(({ left }) => left.length > 0);
    this.#waiting = [...this.#waiting.filter((ticket) => !served.has(ticket)), ...more];
    return shares;
  }

  /** Of all batches that have some of it. */
  #tellProgress(ticket: Ticket): void {
    const shares = this.#slots.flatMap(({ batch }) => batch).filter((share) => share.ticket === ticket);
    const drawn = shares.reduce((sum, { count, done }) => sum + count * done, ticket.drawn);
    ticket.mailbox.push({ kind: "progress", share: drawn / ticket.job.samples });
  }

  #deliver(ticket: Ticket, pictures: readonly { sample: number; pixels: Uint8Array }[]): void {
    for (const picture of pictures) ticket.mailbox.push({ kind: "image", ...picture });
    ticket.drawn += pictures.length;
    if (ticket.drawn === ticket.job.samples) this.#end(ticket);
  }

  /** A drawer was lost with a share of a job: it is asked for again, since equal seeds draw equal images; but only once. */
  #comeBack({ ticket, first, count }: Share, error: unknown): void {
    if (ticket.mailbox.ended) return;
    if (ticket.again || this.#closed) {
      this.#end(ticket, error);
      return;
    }
    ticket.again = true;
    ticket.left = [{ first, count }, ...ticket.left];
    this.#waiting = [ticket, ...this.#waiting.filter((other) => other !== ticket)];
  }

  #drop(ticket: Ticket, reason: unknown): void {
    this.#meter.dropped(ticket.job.model, ticket.job.samples - ticket.drawn);
    this.#end(ticket, reason);
    for (const { drawer, batch } of this.#slots)
      batch.forEach((share, part) => {
        if (share.ticket === ticket) drawer?.drop(part);
      });
    this.#idle();
  }

  #end(ticket: Ticket, error?: unknown): void {
    this.#waiting = this.#waiting.filter((other) => other !== ticket);
    ticket.mailbox.end(error);
  }
}
