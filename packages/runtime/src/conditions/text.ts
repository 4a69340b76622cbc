import { Canvas, GLYPH_ADVANCE, LINE_ADVANCE } from "./canvas.ts";
import { checkBytes } from "./check.ts";
import type { Condition } from "./condition.ts";
import { equalShare, oneHot } from "./semantic.ts";
import type { TextSpec } from "./spec.ts";

/** Values of a byte: planes of a text. */
export const BYTES = 256;

/** A text as UTF-8 bytes `[T]`, filled up with 0: a plane a byte value, one pixel high. */
export function text(spec: TextSpec): Condition {
  const shape = [spec.length] as const;
  return {
    kind: "text",
    shape,
    planes: [1, spec.length],
    inputChannels: BYTES,
    planesOf: (bytes) => oneHot(bytes, BYTES),
    check(bytes) {
      checkBytes("text", bytes, shape);
      textOf(bytes);
    },
    draw(bytes, side) {
      checkBytes("text", bytes, shape);
      return drawText(readable(bytes), side);
    },
    describe: readable,
    fidelity: (truth, guess) => ({
      accuracy: equalShare(truth, guess),
      exact: Number(truth.every((byte, i) => byte === guess[i])),
    }),
  };
}

/**
 * A text as it is read: without white space at its ends, since captions are trained without, and a space in front would move all that
 * follows; in small letters where the specification says so, as by CLIP's tokenizer (Radford et al. 2021).
 */
export function plainText(sentence: string, { lowercase = false }: TextSpec): string {
  const text = sentence.trim();
  return lowercase ? text.toLowerCase() : text;
}

/**
 * What {@link plainText} leaves of a text, as a condition's bytes.
 *
 * @throws RangeError when it is too long, empty, not Unicode, or contains a null character
 */
export function textBytes(sentence: string, spec: TextSpec): Uint8Array {
  if (/\p{Surrogate}/u.test(sentence)) {
    throw new RangeError(`the text ${quoted(sentence)} holds half a surrogate pair, which is not a character.`);
  }
  const encoded = new TextEncoder().encode(plainText(sentence, spec));
  if (encoded.length > spec.length) {
    throw new RangeError(
      `the text ${quoted(sentence)} has ${encoded.length} bytes, but ${spec.length} is the most here; shorten it.`,
    );
  }
  if (encoded.length === 0 || encoded.includes(0)) {
    throw new RangeError("the text must not be empty or contain a null character.");
  }
  const bytes = new Uint8Array(spec.length);
  bytes.set(encoded);
  return bytes;
}

/** No more of a text than a message has room for. */
function quoted(sentence: string): string {
  return JSON.stringify(sentence.length > MOST_SHOWN ? `${sentence.slice(0, MOST_SHOWN)}…` : sentence);
}
const MOST_SHOWN = 80;

/** @throws RangeError for bytes that are not UTF-8, and for text after the first 0 */
export function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  const used = end < 0 ? bytes : bytes.subarray(0, end);
  const after = bytes.subarray(used.length).findIndex((byte) => byte !== 0);
  if (after >= 0) {
    const at = used.length + after;
    throw new RangeError(`byte ${at} holds ${bytes[at]}, but a text ends at its first 0, and that is byte ${end}.`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(used);
  } catch {
    throw new RangeError(`the bytes [${used.join(", ")}] are not UTF-8 text; make them with textBytes.`);
  }
}

/** What a decoder wrote, whatever it is: a bad byte becomes a replacement character. */
function readable(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes).replace(/\0+/g, " ").trimEnd();
}

/** As large as fits, broken between words where that is possible. */
function drawText(sentence: string, side: number): Uint8Array {
  const canvas = new Canvas(side, [250, 248, 240]);
  const fitting = [3, 2, 1].map((scale) => ({
    scale,
    lines: wrap(sentence, Math.floor((side - 2) / (GLYPH_ADVANCE * scale))),
  }));
  const { scale, lines } =
    fitting.find((choice) => {
      const words = choice.lines.join(" ").split(" ").length === sentence.split(" ").length;
      return words && choice.lines.length * LINE_ADVANCE * choice.scale <= side;
    }) ?? fitting.at(-1)!;
  const top = Math.max(1, Math.floor((side - lines.length * LINE_ADVANCE * scale) / 2));
  lines.forEach((line, i) => {
    canvas.text(line, 2, top + i * LINE_ADVANCE * scale, [30, 30, 60], scale);
  });
  return canvas.pixels;
}

function wrap(sentence: string, columns: number): string[] {
  const lines = [""];
  const width = Math.max(1, columns);
  for (const word of sentence.split(" ")) {
    const line = lines.at(-1)!;
    if (line !== "" && line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`;
    else {
      const parts = word.match(new RegExp(`.{1,${width}}`, "gsu")) ?? [""];
      lines.splice(line === "" ? -1 : lines.length, line === "" ? 1 : 0, ...parts);
    }
  }
  return lines;
}
