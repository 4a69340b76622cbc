import { conditionFrom, type GivenCondition, givenKindOf } from "../data/index.ts";
import type { RequestedCondition } from "./api.ts";
import type { ServedModel } from "./catalog.ts";
import { fieldProblem } from "./problem.ts";

/**
 * The bytes of the condition that a request has.
 *
 * @throws Problem that names the field, for a kind that the model does not take, and for contents that mean nothing
 */
export async function requestedCondition(given: RequestedCondition, model: ServedModel): Promise<Uint8Array> {
  const { spec, size, condition, examples } = model;
  const field = `condition.${FIELDS[given.kind]}`;
  try {
    if (given.kind === "example") {
      const example = examples[given.number];
      if (example !== undefined) return example;
      throw new RangeError(`${model.name} comes with ${examples.length} examples, counted from 0`);
    }
    if (given.kind === "bytes") {
      const bytes = new Uint8Array(Buffer.from(given.bytes, "base64"));
      condition.check(bytes);
      return bytes;
    }
    const expected = givenKindOf(spec);
    if (given.kind !== expected)
      throw fieldProblem(
        "condition.kind",
        `${model.name} draws for conditions of kind "${spec.kind}", which are given as "${expected}", not as "${given.kind}"`,
      );
    return await conditionFrom(contentsOf(given), spec, size, "it");
  } catch (error) {
    if (error instanceof RangeError) throw fieldProblem(field, error.message.replace(/^it: /, ""));
    throw error;
  }
}

/** What holds the contents of each kind. */
const FIELDS = {
  picture: "png",
  points: "points",
  boxes: "boxes",
  text: "text",
  sound: "wav",
  bytes: "bytes",
  example: "number",
} as const satisfies Record<RequestedCondition["kind"], string>;

const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

function contentsOf(given: Exclude<RequestedCondition, { kind: "bytes" | "example" }>): GivenCondition {
  switch (given.kind) {
    case "picture": {
      const file = Buffer.from(given.png, "base64");
      // Other formats that sharp reads have features that nobody needs here.
      if (!file.subarray(0, PNG.length).equals(PNG)) throw new RangeError("it is not a PNG file");
      return { kind: "picture", file };
    }
    case "points":
      return { kind: "points", document: given.points };
    case "boxes":
      return { kind: "boxes", document: given.boxes };
    case "text":
      return { kind: "text", text: given.text };
    case "sound":
      return { kind: "sound", file: Buffer.from(given.wav, "base64") };
  }
}
