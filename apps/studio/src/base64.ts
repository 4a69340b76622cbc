export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** @param what it is, for the message @throws Error when it is not Base64 */
export function fromBase64(text: unknown, what: string): Uint8Array {
  try {
    if (typeof text === "string") return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    // What browsers say of it is about a function.
  }
  throw new Error(`${what} is not Base64`);
}
