import { fromBase64, toBase64 } from "../base64.ts";
import { announce } from "../dom.ts";
import { type Kept, readWork, writeWork } from "./work.ts";

const MARK = "#work=";

/** Whether an address asks for work, and not for a place on the page. */
export const isLink = (hash: string): boolean => hash.startsWith(MARK);

/** Takes a link out of the page's address: it asks for what is no longer there. */
export function dropLink(): void {
  if (isLink(location.hash)) history.replaceState(null, "", location.pathname + location.search);
}

/** The address of the page with all that is on it, packed behind the `#`, which no server sees. */
async function linkTo(work: Kept): Promise<string> {
  const packed = await through(new TextEncoder().encode(writeWork(work)), new CompressionStream("deflate-raw"));
  const code = toBase64(packed).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return `${location.origin}${location.pathname}${MARK}${code}`;
}

/**
 * Copies a link to all that is on the page.
 *
 * @throws Error where the browser does not let it, as without HTTPS; the page's address is the link then
 */
export async function copyLink(work: Kept): Promise<void> {
  const link = linkTo(work);
  const text = link.then((each) => new Blob([each], { type: "text/plain" }));
  try {
    // Before the link is packed: Safari lets a page copy within a click, and not after it.
    await navigator.clipboard.write([new ClipboardItem({ "text/plain": text })]);
  } catch {
    history.replaceState(null, "", await link);
    throw new Error("The browser does not let this page copy; take the link from its address.");
  }
  announce("The link is copied");
}

/**
 * What the page's address asks for.
 *
 * @throws Error when the link is cut off or otherwise damaged
 */
export async function workOf(hash: string): Promise<Kept | undefined> {
  if (!isLink(hash)) return undefined;
  try {
    const code = hash.slice(MARK.length).replaceAll("-", "+").replaceAll("_", "/");
    const json = await through(fromBase64(code, "what is in it"), new DecompressionStream("deflate-raw"));
    return readWork(new TextDecoder().decode(json));
  } catch (error) {
    throw new Error(`The link cannot be read: ${(error as Error).message}. It may be cut off; copy it again.`);
  }
}

async function through(bytes: Uint8Array, transform: CompressionStream | DecompressionStream): Promise<Uint8Array> {
  const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(transform);
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
