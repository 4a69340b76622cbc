import { type AudioSpec, plainCondition } from "@iqvae/runtime";
import { announce, h, showPixels } from "../dom.ts";
import { icon } from "../icons.ts";
import { readSound } from "../media/media.ts";
import type { Editor, Listener } from "./editor.ts";

/** The longest recording, in milliseconds. */
const LONGEST = 10_000;

/** A sound, from a file or the microphone. */
export function audioEditor(spec: AudioSpec, listener: Listener): Editor {
  const condition = plainCondition(spec, spec.bands);
  const blank = new Uint8Array(spec.bands * spec.frames);
  let bytes: Uint8Array | undefined;
  let recorder: MediaRecorder | undefined;
  const canvas = h("canvas", { role: "img", class: "sound" });
  const empty = h("p", { class: "empty" }, "Say a word, or choose a sound.");
  const name = h("span", { class: "value" });
  const record = h("button", { type: "button", class: "tool worded strong", click: () => void toggle() });
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
    try {
      show(await readSound(sound, from, spec));
      name.textContent = from;
      listener.changed(true);
    } catch (error) {
      listener.problem(error as Error);
    }
  };
  const label = (recording: boolean) => {
    record.replaceChildren(icon(recording ? "stop" : "record"), h("span", {}, recording ? "Stop" : "Record"));
    record.classList.toggle("recording", recording);
  };
  const toggle = async () => {
    if (recorder !== undefined) {
      recorder.stop();
      return;
    }
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const parts: Blob[] = [];
      const one = new MediaRecorder(stream);
      recorder = one;
      const limit = setTimeout(() => one.stop(), LONGEST);
      one.addEventListener("dataavailable", ({ data }) => parts.push(data));
      one.addEventListener("stop", () => {
        clearTimeout(limit);
        recorder = undefined;
        for (const track of stream.getTracks()) track.stop();
        label(false);
        void take(new Blob(parts, { type: one.mimeType }), "your voice");
      });
      one.start();
      label(true);
      announce("recording");
    } catch (error) {
      listener.problem(
        new Error(`The microphone cannot be used (${(error as Error).message}); choose a file instead.`),
      );
    }
  };
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
    show: (next) => show(next.some((level) => level > 0) ? next.slice() : undefined),
  };
}
