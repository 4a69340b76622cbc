import type { SemanticSpec } from "@iqvae/runtime";
import { announce, h } from "../dom.ts";
import { Chips } from "./chips.ts";
import type { Editor, Listener } from "./editor.ts";
import { Raster } from "./raster.ts";
import { rasterTools } from "./tools.ts";

/** A map of classes, painted with a palette of them. */
export function semanticEditor({ classes }: SemanticSpec, size: number, listener: Listener): Editor {
  const name = (value: number) => classes[value]!.name;
  const colors = classes.map(({ color }) => color);
  const raster = new Raster({ size, label: "Map of classes", colors, name, ground: 0 }, listener);
  raster.diameter = Math.max(1, Math.round(size / 11));
  const tools = rasterTools(raster, ["brush", "fill", "eraser"], Math.round(size / 2));
  const choose = (value: number) => {
    raster.ink = value;
    if (raster.tool === "eraser") tools.choose("brush");
    palette.set(value, true);
  };
  const palette = new Chips({ type: "radio", legend: "Class to paint", entries: classes, chosen: choose });
  choose(Math.min(1, classes.length - 1));
  let untouched = true;
  return {
    surface: raster.surface,
    tools: h("div", { class: "tools" }, tools.element, palette.element),
    title: "Your map",
    hint: "Each color is a thing. Paint, and the pictures follow.",
    keys:
      "Arrow keys move, with Shift by more; the space bar paints. B, G and E choose brush, fill and eraser, the numbers a class, " +
      "the brackets the size.",
    blank: new Uint8Array(size * size),
    value: () => raster.bytes.slice(),
    show(bytes) {
      raster.show(bytes);
      if (untouched && classes.length > 1) choose(commonest(bytes, classes.length));
      untouched = false;
    },
    key(character) {
      const value = Number(character) - 1;
      if (!(value >= 0 && value < classes.length)) return tools.key(character);
      choose(value);
      announce(name(value));
      return true;
    },
    trace: (photo) => raster.underlay.show(photo),
  };
}

/** The class that a map shows most of, but its ground: what somebody would go on painting. */
function commonest(bytes: Uint8Array, classes: number): number {
  const counts = new Array<number>(classes).fill(0);
  for (const value of bytes) counts[value]! += 1;
  return counts.indexOf(Math.max(...counts.slice(1)), 1);
}
