import { open } from "node:fs/promises";
import { Tokenizer, TokenParser, TokenType } from "@streamparser/json";
import { reasonOf } from "../../../media/read-file.ts";

const BLOCK = 1 << 20;

/** An element of a list that a JSON object holds: `{ "images": [ELEMENT, …], … }`. */
export interface ListElement {
  readonly list: string;
  readonly value: unknown;
}

/** Whole numbers that a double cannot hold exactly become a `bigint`: two ids must not become one. */
class ExactTokenizer extends Tokenizer {
  protected override parseNumber(text: string): number {
    const value = Number(text);
    return Number.isSafeInteger(value) || !/^-?\d+$/.test(text) ? value : (BigInt(text) as unknown as number);
  }
}

/**
 * Reads a JSON file that is an object of lists, element by element: COCO's annotations are longer than a string may be. Values
 * that are not lists are passed over. Numbers are `number`, or `bigint` for whole ones that a `number` would round.
 *
 * @param onElement called with each element in order
 * @param onProgress told of the bytes that have been read, and may throw to end the reading
 * @throws Error for a file that cannot be read, or is not such JSON
 */
export async function readLists(
  path: string,
  onElement: (element: ListElement) => void,
  onProgress: (done: number, total: number) => void = () => {},
): Promise<void> {
  const file = await open(path).catch((error: unknown) => {
    throw new Error(`${path} cannot be read: ${reasonOf(error)}.`, { cause: error });
  });
  try {
    const { size } = await file.stat();
    const parser = listParser(onElement);
    const block = new Uint8Array(BLOCK);
    for (let done = 0; ; ) {
      const { bytesRead } = await file.read(block, 0, BLOCK, done);
      try {
        if (bytesRead > 0) parser.write(block.subarray(0, bytesRead));
        else parser.end();
      } catch (error) {
        throw new Error(`${path} is not JSON of annotations: ${(error as Error).message}.`, { cause: error });
      }
      if (bytesRead === 0) return;
      done += bytesRead;
      if (size > BLOCK) onProgress(done, size);
    }
  } finally {
    await file.close();
  }
}

function listParser(onElement: (element: ListElement) => void) {
  const tokenizer = new ExactTokenizer();
  const parser = new TokenParser({ paths: ["$.*.*"], keepStack: false });
  let begun = false;
  tokenizer.onToken = (token) => {
    if (!begun && token.token !== TokenType.LEFT_BRACE) throw new Error("it is not an object of lists");
    begun = true;
    parser.write(token);
  };
  parser.onValue = ({ value, parent, stack }) => {
    if (Array.isArray(parent)) onElement({ list: String(stack[1]?.key), value });
  };
  parser.onEnd = () => tokenizer.end();
  return {
    write: (part: Uint8Array) => tokenizer.write(part),
    end() {
      if (!begun) throw new Error("it holds no object");
      if (!parser.isEnded) throw new Error("it ends early");
    },
  };
}
