import { randomInt } from "node:crypto";
import { parseAccept } from "hono/utils/accept";
import { pngOf } from "../media/index.ts";
import { type Answered, allImages, eventsOf, imageOf } from "./answers.ts";
import { type ImageEvent, type ImageRequest, imageRequest } from "./api.ts";
import type { AppContext, Service } from "./app.ts";
import { modelNamed, type ServedModel } from "./catalog.ts";
import { requestedCondition } from "./condition.ts";
import type { Sampling } from "./drawer/protocol.ts";
import { fieldProblem, Problem, schemaProblem } from "./problem.ts";

/** The forms of an answer; the first is sent to who does not say. */
const FORMS = ["application/json", "image/png", "text/event-stream", "application/x-ndjson"] as const;
type Form = (typeof FORMS)[number];

/** Seeds that are chosen here: short enough to be typed. */
const SEEDS = 1e8;

/** Answers `POST /v1/images`. */
export async function drawImages(c: AppContext, service: Service): Promise<Response> {
  const form = formOf(c);
  const request = parse(await bodyOf(c), service);
  // After the body has come, which may take long.
  if (service.isDraining())
    throw new Problem(503, "The server is ending; ask again when it is back.", { headers: { "Retry-After": "10" } });
  const model = chosenModel(request, service);
  checkFor(request, model, form, service);
  const deadline = new Deadline(service.ended, service.limits.seconds);
  // From now on: whoever leaves while the condition is read is not drawn for, either.
  const { outgoing } = c.env;
  if (outgoing.destroyed) deadline.end();
  outgoing.once("close", () => deadline.end());
  const condition = await requestedCondition(request.condition, model);
  const sampling = samplingOf(request, model);
  const { samples, firstSample, frames } = request;
  const streamed = form === "text/event-stream" || form === "application/x-ndjson";
  const job = { model: model.name, condition, sampling, firstSample, samples, frames: frames && streamed };
  const mailbox = service.queue.take(job, deadline.signal);
  const answered: Answered = { model: model.name, seed: sampling.seed, size: model.size, samples };
  c.header("cache-control", "no-store");
  if (streamed) {
    c.header("content-type", form);
    return c.body(ReadableStream.from(encoded(eventsOf(mailbox, answered), form)));
  }
  const pictures = await allImages(mailbox);
  if (form === "image/png") {
    c.header("content-type", form);
    c.header("x-seed", String(sampling.seed));
    return c.body(new Uint8Array(await pngOf(pictures[0]!.pixels, model.size)));
  }
  const images = await Promise.all(pictures.map((picture) => imageOf(picture, model.size)));
  return c.json({ model: model.name, seed: sampling.seed, images });
}

/** @throws Problem (406) when none of the forms is acceptable */
function formOf(c: AppContext): Form {
  const ranges = parseAccept(c.req.header("accept") ?? "*/*").map(({ type, q }) => ({ type: type.toLowerCase(), q }));
  const wanted = FORMS.map((form) => {
    // The most specific range counts, so that one form can be excluded from all.
    const named = [form, `${form.split("/")[0]}/*`, "*/*"].find((name) => ranges.some(({ type }) => type === name));
    const place = ranges.findIndex(({ type }) => type === named);
    return { form, place, q: ranges[place]?.q ?? 0 };
  });
  const [best] = wanted.filter(({ q }) => q > 0).sort((a, b) => b.q - a.q || a.place - b.place);
  if (best !== undefined) return best.form;
  throw new Problem(406, `Accept is ${c.req.header("accept")}, but images are sent as ${FORMS.join(", ")}.`);
}

async function bodyOf(c: AppContext): Promise<unknown> {
  const type = /^[^;\s]+/.exec(c.req.header("content-type") ?? "")?.[0].toLowerCase();
  // Nothing else, also for this reason: a page elsewhere may have a browser send a form or a text here, but not this.
  if (type !== "application/json")
    throw new Problem(415, `The body is ${type ?? "of no type"}, but must be sent as Content-Type: application/json.`);
  const encoding = c.req.header("content-encoding") ?? "identity";
  if (encoding.toLowerCase() !== "identity")
    throw new Problem(415, `The body is encoded as ${encoding}, but must be sent without Content-Encoding.`, {
      headers: { "Accept-Encoding": "identity" },
    });
  const text = await c.req.text();
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Problem(400, `The body is not valid JSON: ${(error as Error).message}`);
  }
}

function parse(body: unknown, { limits }: Service): ImageRequest {
  const parsed = imageRequest(limits).safeParse(body);
  if (parsed.success) return parsed.data;
  throw schemaProblem(parsed.error);
}

function chosenModel({ model }: ImageRequest, { models }: Service): ServedModel {
  try {
    return modelNamed(models, model);
  } catch (error) {
    throw fieldProblem("model", (error as Error).message);
  }
}

/** What a schema cannot know. */
function checkFor({ samples, guidance = 1 }: ImageRequest, model: ServedModel, form: Form, { limits }: Service): void {
  const most = Math.max(1, Math.floor(limits.pixels / model.size ** 2));
  if (samples > most)
    throw fieldProblem(
      "samples",
      `${model.name} draws ${model.size} × ${model.size} pixels, so that a request may have ${most} images`,
    );
  if (form === "image/png" && samples > 1)
    throw fieldProblem(
      "samples",
      `image/png has room for one image, but ${samples} are asked for; accept another form`,
    );
  if (guidance !== 1 && !model.guidable)
    throw fieldProblem(
      "guidance",
      `${model.name} was not trained without conditions, so it cannot be guided; leave it at 1`,
    );
}

function samplingOf({ seed, temperature, topK, topP, guidance }: ImageRequest, { sampling }: ServedModel): Sampling {
  return {
    seed: seed ?? randomInt(SEEDS),
    temperature: temperature ?? sampling.temperature,
    topP: topP ?? sampling.topP,
    guidance: guidance ?? sampling.guidance,
    topK: topK === undefined ? sampling.topK : topK,
  };
}

async function* encoded(events: AsyncIterable<ImageEvent>, form: Form): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  for await (const event of events) {
    const json = JSON.stringify(event);
    yield encoder.encode(form === "text/event-stream" ? `event: ${event.event}\ndata: ${json}\n\n` : `${json}\n`);
  }
}

/** Ends a request's work: when the client hangs up, the server ends, or the time is over. */
class Deadline {
  readonly #control = new AbortController();
  readonly #letGo: () => void;

  constructor(server: AbortSignal, seconds: number) {
    const end = (problem: Problem) => this.#control.abort(problem);
    const late = `The images were not done in ${seconds} s; ask for fewer, or come back later.`;
    const timer = setTimeout(() => end(new Problem(503, late, { headers: { "Retry-After": "5" } })), 1000 * seconds);
    const over = () => end(new Problem(503, "The server has ended.", { headers: { "Retry-After": "10" } }));
    server.addEventListener("abort", over, { once: true });
    this.#letGo = () => {
      clearTimeout(timer);
      server.removeEventListener("abort", over);
    };
  }

  get signal(): AbortSignal {
    return this.#control.signal;
  }

  /** The answer has ended, or never will: nobody waits any more. */
  end(): void {
    this.#letGo();
    this.#control.abort(new Problem(499, "The client has left."));
  }
}
