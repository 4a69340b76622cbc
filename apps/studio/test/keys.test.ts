import { expect, test } from "vitest";
import { characterOf } from "../src/keys.ts";

test.each([
  ["an American keyboard", "Z", "KeyZ", "z"],
  ["a German one, by its letter", "z", "KeyY", "z"],
  ["a German one, with AltGr", "[", "Digit8", "["],
  ["a Russian one, by its place", "я", "KeyZ", "z"],
  ["a Russian one, with Shift", "Я", "KeyZ", "z"],
  ["a Russian one, where brackets would be", "ъ", "BracketRight", "]"],
  ["a French one, whose digit has no letter's place", "é", "Digit2", "é"],
  ["any", "ArrowLeft", "ArrowLeft", "arrowleft"],
])("on %s the key %s of %s means %s", (_, key, code, character) => {
  expect(characterOf({ key, code })).toBe(character);
});
