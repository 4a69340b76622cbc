import {
  type Answer,
  type Condition,
  type Engine,
  type Question,
  type Sequences,
  sampleTokens,
  type TokenCounts,
} from "@iqvae/runtime";
import type { Drawn, Part, Picture } from "./protocol.ts";

/** A model in memory. */
export interface LoadedModel {
  readonly engine: Engine;
  readonly condition: Condition;
  readonly counts: TokenCounts;
  /** Tokens of a row of the image. */
  readonly row: number;
}

/** What is told while a batch is drawn, and asked. */
export interface BatchEvents {
  onProgress(share: number): void;
  onFrame(part: number, share: number, picture: Picture): void;
  /** Whether nobody waits for a part any more; asked before each token. */
  isDropped(part: number): boolean;
}

/** A part under way. */
interface Drawing {
  readonly part: number;
  readonly wanted: Part;
  /** Tokens of its condition. */
  readonly condition: Int32Array;
  readonly tokens: Generator<Question, Int32Array[], Answer>;
  question: Question;
}

/**
 * Draws several parts as one batch: each has its own options and random numbers, and asks for logits; all questions of a step are
 * put to the engine as one. So a part gets the images that it would get alone.
 *
 * A part that is dropped costs nothing more; when all are, the batch ends.
 */
export async function drawBatch(
  model: LoadedModel,
  parts: readonly Part[],
  events: BatchEvents,
): Promise<readonly Drawn[]> {
  const results: (Drawn | undefined)[] = parts.map(() => undefined);
  let drawings = await beginAll(model, parts, results);
  const { imageTokens: T, imageCodes: K } = model.counts;
  const finished: { readonly part: number; readonly condition: Int32Array; readonly images: Int32Array[] }[] = [];
  for (let t = 0; t < T; t++) {
    await others();
    const left = drawings.filter(({ part }) => !events.isDropped(part));
    if (left.length === 0) break;
    if (left.length < drawings.length && t > 0) await model.engine.keep(rowsOf(drawings, left));
    drawings = left;
    const atRow = t > 0 && t % model.row === 0;
    let logits = await model.engine.predict(merged(drawings.map(({ question }) => question)));
    // What decodes frames would overwrite them.
    if (atRow && parts.some(({ frames }) => frames)) logits = logits.slice();
    const answers = split(
      logits,
      drawings.map(({ question }) => question.sequences.of.length * K),
    );
    for (const [i, drawing] of drawings.entries()) {
      const { part, wanted, condition } = drawing;
      if (atRow && wanted.frames) await tellFrames(model, drawing, answers[i]!, events);
      const step = drawing.tokens.next(answers[i]!);
      if (step.done) finished.push({ part, condition, images: step.value });
      else drawing.question = step.value;
    }
    if (atRow) events.onProgress(t / T);
  }
  for (const { part, condition, images } of finished) {
    const pictures: Picture[] = [];
    for (const [i, tokens] of images.entries()) {
      await others();
      if (events.isDropped(part)) break;
      pictures.push({ sample: parts[part]!.first + i, pixels: await model.engine.decode(tokens, condition) });
    }
    if (pictures.length === images.length) results[part] = { kind: "pictures", pictures };
  }
  return results.map((result) => result ?? { kind: "dropped" });
}

/** The numbers of the sequences of some drawings among those of all. */
function rowsOf(all: readonly Drawing[], some: readonly Drawing[]): Int32Array {
  const rows = all.flatMap((drawing) => Array.from(drawing.question.sequences.of, () => drawing));
  return Int32Array.from(rows.flatMap((drawing, row) => (some.includes(drawing) ? [row] : [])));
}

/** What else there is to do: to hear that a part is dropped. */
function others(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function beginAll(
  { engine, condition, counts }: LoadedModel,
  parts: readonly Part[],
  results: (Drawn | undefined)[],
): Promise<Drawing[]> {
  const drawings: Drawing[] = [];
  for (const [part, wanted] of parts.entries()) {
    const { sampling, first, count } = wanted;
    try {
      condition.check(wanted.condition);
      const encoded = await engine.encode(condition.planesOf(wanted.condition));
      const options = { ...sampling, samples: count, firstSample: first, batch: count };
      const tokens = sampleTokens(counts, [encoded], options);
      const step = tokens.next();
      if (!step.done) drawings.push({ part, wanted, condition: encoded, tokens, question: step.value });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      results[part] = { kind: "refused", message: error.message };
    }
  }
  return drawings;
}

/** Several questions as one: the same token of all sequences, and each condition once. */
function merged(questions: readonly Question[]): Question {
  const [first] = questions;
  if (questions.length === 1) return first!;
  const places = new Map<string, number>();
  const conditions: Int32Array[] = [];
  const placeOf = (tokens: Int32Array) => {
    const key = tokens.join();
    const known = places.get(key);
    if (known !== undefined) return known;
    places.set(key, conditions.length);
    return conditions.push(tokens) - 1;
  };
  const of = questions.flatMap(({ sequences }) => {
    const own = sequences.conditions.map(placeOf);
    return Array.from(sequences.of, (place) => own[place]!);
  });
  const sequences: Sequences = { conditions, of: Int32Array.from(of) };
  const joined = (pick: (question: Question) => Int32Array) => Int32Array.from(questions.flatMap((q) => [...pick(q)]));
  return {
    sequences,
    t: first!.t,
    last: joined(({ last }) => last),
    drawn: joined(({ drawn }) => drawn),
    images: { first: 0, count: of.length },
  };
}

function split(logits: Float32Array, lengths: readonly number[]): Float32Array[] {
  let at = 0;
  return lengths.map((length) => {
    at += length;
    return logits.subarray(at - length, at);
  });
}

/** Unfinished images, with the code that is likeliest next in place of all that are to come. */
async function tellFrames(
  { engine, counts: { imageCodes: K, imageTokens: T } }: LoadedModel,
  { part, wanted, condition, question: { t, drawn } }: Drawing,
  logits: Float32Array,
  events: BatchEvents,
): Promise<void> {
  for (let i = 0; i < wanted.count; i++) {
    const own = logits.subarray(i * K, (i + 1) * K);
    const likeliest = own.indexOf(own.reduce((most, logit) => Math.max(most, logit), -Infinity));
    const tokens = drawn.slice(i * T, (i + 1) * T).fill(Math.max(0, likeliest), t);
    events.onFrame(part, t / T, { sample: wanted.first + i, pixels: await engine.decode(tokens, condition) });
  }
}
