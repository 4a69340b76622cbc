/** Keys of an American keyboard in whose places others have letters. */
const PLACES: Readonly<Record<string, string>> = { BracketLeft: "[", BracketRight: "]" };

/**
 * What a key types, small; where that is not of ASCII, as on a Russian keyboard, what the key in its place types on an American one.
 * The typed character comes first: elsewhere the places differ, as those of Z and Y on a German keyboard.
 */
export function characterOf({ key, code }: Pick<KeyboardEvent, "key" | "code">): string {
  if (key.charCodeAt(0) < 128) return key.toLowerCase();
  return PLACES[code] ?? /^Key([A-Z])$/.exec(code)?.[1]?.toLowerCase() ?? key;
}
