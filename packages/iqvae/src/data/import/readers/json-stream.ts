import { closeSync, openSync, readSync } from "node:fs";

const BLOCK = 1 << 20;
const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];
/** No element of an annotation file is longer; what is, is no such file. */
const LONGEST = 1 << 28;

/** An element of a list that a JSON object holds: `{ "images": [ELEMENT, …], … }`. */
export interface ListElement {
  readonly list: string;
  readonly value: unknown;
}

/**
 * Reads a JSON file that is an object of lists, element by element: COCO's annotations are longer than a string may be. Values
 * that are no lists are passed over.
 *
 * @throws Error for a file that cannot be read, or is no such JSON
 */
export function* listElements(path: string): Generator<ListElement> {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    throw new Error(`${path} cannot be read (${(error as Error).message}).`, { cause: error });
  }
  try {
    yield* new Scanner(path).elements(blocks(file));
  } finally {
    closeSync(file);
  }
}

function* blocks(file: number): Generator<Uint8Array> {
  for (;;) {
    const block = new Uint8Array(BLOCK);
    const length = readSync(file, block);
    if (length === 0) return;
    yield block.subarray(0, length);
  }
}

/** Follows the brackets of a JSON text byte by byte, and parses what lies between those of interest. */
class Scanner {
  readonly #path: string;
  readonly #kinds: number[] = [];
  #inText = false;
  #escaped = false;
  /** The bytes of the key or element that is being read, from blocks that are gone. */
  #held: Uint8Array[] = [];
  #length = 0;
  #key: string | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  *elements(blocks: Iterable<Uint8Array>): Generator<ListElement> {
    let begun = false;
    for (const block of blocks) {
      let from = 0;
      for (let at = 0; at < block.length; at++) {
        const byte = block[at]!;
        if (this.#inText) {
          if (this.#escaped) this.#escaped = false;
          else if (byte === BACKSLASH) this.#escaped = true;
          else if (byte === QUOTE) this.#inText = false;
          continue;
        }
        if (byte === QUOTE) this.#inText = true;
        const depth = this.#kinds.length;
        if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
          if (begun && depth === 0) this.#refuse("something follows its end");
          if (depth === 0 && byte === OPEN_LIST) this.#refuse("it is a list, not an object of lists");
          this.#kinds.push(byte);
          begun = true;
          // A list's first element begins after its bracket, an object's first key after its brace.
          if (depth === 0 || (depth === 1 && byte === OPEN_LIST)) {
            this.#drop();
            from = at + 1;
          }
        } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) {
          const opened = this.#kinds.pop();
          if (opened !== (byte === CLOSE_LIST ? OPEN_LIST : OPEN_OBJECT)) this.#refuse("its brackets do not match");
          if (depth === 2 && byte === CLOSE_LIST) {
            yield* this.#element(block.subarray(from, at));
            from = at + 1;
          }
        } else if (byte === COMMA && depth === 2 && this.#kinds[1] === OPEN_LIST) {
          yield* this.#element(block.subarray(from, at), true);
          from = at + 1;
        } else if (byte === COMMA && depth === 1) {
          this.#drop();
          from = at + 1;
        } else if (byte === COLON && depth === 1) {
          this.#key = String(this.#parse(block.subarray(from, at)));
          from = at + 1;
        }
      }
      this.#hold(block.subarray(from));
    }
    if (!begun) this.#refuse("it holds no object");
    if (this.#kinds.length > 0 || this.#inText) this.#refuse("it ends early");
  }

  /** The element that ends here; a list may end without one. */
  *#element(last: Uint8Array, expected = false): Generator<ListElement> {
    const text = this.#take(last);
    if (text.trim() === "" && !expected) return;
    yield { list: this.#key ?? "", value: this.#json(text) };
  }

  #parse(last: Uint8Array): unknown {
    return this.#json(this.#take(last));
  }

  #json(text: string): unknown {
    try {
      return JSON.parse(text);
    } catch (error) {
      return this.#refuse((error as Error).message);
    }
  }

  #take(last: Uint8Array): string {
    const text = Buffer.concat([...this.#held, last]).toString("utf8");
    this.#drop();
    return text;
  }

  #hold(part: Uint8Array): void {
    // Values at the top that are no lists are not needed, but their length is bounded all the same.
    this.#held.push(part);
    this.#length += part.length;
    if (this.#length > LONGEST) this.#refuse("one element is longer than 256 MB");
  }

  #drop(): void {
    this.#held = [];
    this.#length = 0;
  }

  #refuse(reason: string): never {
    throw new Error(`${this.#path} is no JSON file of annotations: ${reason}.`);
  }
}
