import { type AudioSpec, plainCondition } from "@iqvae/runtime";
import { announce, h, showPixels } from "../dom.ts";
import { icon } from "../icons.ts";
import { readSound } from "../media/media.ts";
import type { Editor, Listener } from "./editor.ts";
import { Microphone } from "./microphone.ts";
import { Newest } from "./newest.ts";

/** A sound, from a file or the microphone. */
export function audioEditor(spec: AudioSpec, listener: Listener): Editor {
  const condition = plainCondition(spec, spec.bands);
  const blank = new Uint8Array(spec.bands * spec.frames);
  let bytes: Uint8Array | undefined;
  const sounds = new Newest();
  const canvas = h("canvas", { role: "img", class: "sound" });
  const empty = h("p", { class: "empty" }, "Say a word, or choose a sound.");
  const name = h("span", { class: "value" });
  const record = h("button", { type: "button", class: "tool worded strong", click: () => void microphone.toggle() });
  const input = h("input", {
    type: "file",
    accept: "audio/*,.wav",
    class: "hidden",
    tabindex: -1,
    "aria-label": "Sound file",
    change: () => {
      const file = input.files?.[0];
      if (file !== undefined) void take(file, file.name);
      input.value = "";
    },
  });
  const choose = h(
    "button",
    { type: "button", class: "tool worded", click: () => input.click() },
    icon("folder"),
    h("span", {}, "Choose a file"),
  );

  const show = (next: Uint8Array | undefined) => {
    bytes = next;
    canvas.hidden = next === undefined;
    empty.hidden = next !== undefined;
    if (next === undefined) return;
    canvas.setAttribute("aria-label", `Spectrogram: ${condition.describe(next)}`);
    const side = Math.max(spec.bands, spec.frames);
    showPixels(canvas, condition.draw(next, side), side);
  };
  const take = async (sound: Blob, from: string) => {
    const isNewest = sounds.begin();
    try {
      const next = await readSound(sound, from, spec);
      if (!isNewest()) return;
      show(next);
      name.textContent = from;
      listener.changed(true);
    } catch (error) {
      if (isNewest()) listener.problem(error as Error);
    }
  };
  const label = (recording: boolean) => {
    record.replaceChildren(icon(recording ? "stop" : "record"), h("span", {}, recording ? "Stop" : "Record"));
    record.classList.toggle("recording", recording);
  };
  const microphone = new Microphone({
    changed(recording) {
      label(recording);
      if (recording) announce("recording");
    },
    recorded: (sound) => void take(sound, "your voice"),
    problem: (error) => listener.problem(error),
  });
  label(false);
  show(undefined);
  return {
    surface: h("div", { class: "surface night" }, canvas, empty),
    tools: h("div", { class: "tools" }, h("div", { class: "tool-row" }, record, choose, input, name)),
    title: "Your sound",
    hint: "A spoken word becomes a picture of its pitches, and the pictures follow that.",
    keys: "The buttons record, or choose a file.",
    blank,
    value: () => bytes?.slice(),
    show(next) {
      sounds.begin();
      name.textContent = "";
      show(next.some((level) => level > 0) ? next.slice() : undefined);
    },
    close: () => microphone.close(),
  };
}
