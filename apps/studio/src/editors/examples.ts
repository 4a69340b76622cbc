import { textOf, type WorkerGenerator } from "@iqvae/runtime";
import { h, showPixels } from "../dom.ts";

/** Pixels a side of a small picture of a condition. */
const SIDE = 64;

/** Buttons with conditions that come with the model, to begin with. */
export function exampleButtons(
  { model, condition, examples: all }: Pick<WorkerGenerator, "model" | "condition" | "examples">,
  show: (bytes: Uint8Array) => void,
): Node[] {
  if (all.length === 0) return [];
  const isText = model.condition.kind === "text";
  const buttons = all.map((bytes, i) => {
    const click = () => show(bytes);
    if (isText) return h("button", { type: "button", class: "phrase", click }, textOf(bytes));
    const canvas = h("canvas", { "aria-hidden": "true" });
    const side = Math.max(SIDE, model.size);
    showPixels(canvas, condition.draw(bytes, side), side);
    return h("button", { type: "button", class: "example", "aria-label": `Example ${i + 1}`, click }, canvas);
  });
  return [h("h3", {}, "Begin with"), h("div", { class: isText ? "phrases" : "row" }, ...buttons)];
}
