import { plainText, type TextSpec, textBytes, textOf } from "@iqvae/runtime";
import { h } from "../dom.ts";
import type { Editor, Listener } from "./editor.ts";

/** Somebody who types pauses for less. */
const PAUSE = 350;

/** Words. */
export function textEditor(spec: TextSpec, listener: Listener): Editor {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const used = h("span", { class: "value" });
  const area = h("textarea", {
    class: "words",
    "aria-label": "What to draw",
    "aria-describedby": "words-used",
    placeholder: "Write what to draw…",
    spellcheck: "false",
    input: () => changed(),
    keydown(event: KeyboardEvent) {
      if (event.key !== "Enter") return;
      event.preventDefault();
      end();
    },
  });
  /** Of what a field takes and a condition does not, half a character becomes the sign for that, and null characters are left out. */
  const words = () => area.value.replace(/\p{Surrogate}/gu, "\ufffd").replaceAll("\0", "");
  const length = () => new TextEncoder().encode(plainText(words(), spec)).length;
  const count = () => {
    const over = length() - spec.length;
    used.textContent =
      over > 0 ? `${over} ${over === 1 ? "byte" : "bytes"} too many` : `${length()} of ${spec.length} bytes`;
    area.setAttribute("aria-invalid", String(over > 0));
  };
  const value = () => {
    const text = words();
    return text.trim() === "" || length() > spec.length ? undefined : textBytes(text, spec);
  };
  const end = () => {
    clearTimeout(timer);
    listener.changed(true);
  };
  const changed = () => {
    count();
    listener.changed(false);
    clearTimeout(timer);
    timer = setTimeout(end, PAUSE);
  };
  count();
  return {
    surface: h("div", { class: "surface sheet" }, area),
    tools: h("div", { class: "tools", id: "words-used" }, used),
    title: "Your words",
    hint: "A few words, such as the model has learned; see the examples.",
    keys: "Write; Enter draws at once.",
    blank: new Uint8Array(spec.length),
    value,
    show(bytes) {
      area.value = textOf(bytes);
      count();
    },
    close: () => clearTimeout(timer),
  };
}
