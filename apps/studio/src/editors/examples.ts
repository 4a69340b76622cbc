import { type Bundle, type Condition, textOf } from "@iqvae/runtime";
import { fromBase64 } from "../base64.ts";
import { h, showPixels } from "../dom.ts";

/** Pixels a side of a small picture of a condition. */
const SIDE = 64;

/** Conditions that come with the model. */
export function examplesOf({ examples = [] }: Bundle): readonly Uint8Array[] {
  return examples.map(fromBase64);
}

/** Buttons with conditions that come with the model, to begin with. */
export function exampleButtons(model: Bundle, condition: Condition, show: (bytes: Uint8Array) => void): Node[] {
  const all = examplesOf(model);
  if (all.length === 0) return [];
  const isText = model.condition.kind === "text";
  const buttons = all.map((bytes, i) => {
    const click = () => show(bytes);
    if (isText) return h("button", { type: "button", class: "phrase", click }, textOf(bytes));
    const canvas = h("canvas", { "aria-hidden": true });
    const side = Math.max(SIDE, model.size);
    showPixels(canvas, condition.draw(bytes, side), side);
    return h("button", { type: "button", class: "example", "aria-label": `Example ${i + 1}`, click }, canvas);
  });
  return [h("h3", {}, "Begin with"), h("div", { class: isText ? "phrases" : "row" }, ...buttons)];
}
