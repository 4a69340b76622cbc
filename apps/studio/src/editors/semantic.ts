import type { SemanticSpec } from "@iqvae/runtime";
import { h } from "../dom.ts";
import type { Editor, Listener } from "./editor.ts";
import { Raster } from "./raster.ts";
import { rasterTools } from "./tools.ts";

/** A map of classes, painted with a palette of them. */
export function semanticEditor({ classes }: SemanticSpec, size: number, listener: Listener): Editor {
  const raster = new Raster(
    {
      size,
      label: "Map of classes",
      colors: classes.map(({ color }) => color),
      name: (value) => classes[value]!.name,
      ground: 0,
    },
    listener,
  );
  raster.diameter = Math.max(1, Math.round(size / 11));
  const tools = rasterTools(raster, ["brush", "fill", "eraser"], Math.round(size / 2));
  const choose = (value: number) => {
    raster.ink = value;
    if (raster.tool === "eraser") tools.choose("brush");
    for (const [i, { button }] of swatches.entries()) button.checked = i === value;
  };
  const swatches = classes.map(({ name, color }, value) => {
    const button = h("input", { type: "radio", name: "class", value, change: () => choose(value) });
    const key = value < 9 ? String(value + 1) : "";
    const swatch = h("span", { class: "swatch", style: `--color: rgb(${color.join(" ")})` });
    return {
      button,
      label: h("label", { class: "class", title: key && `Key ${key}` }, button, swatch, h("span", {}, name)),
    };
  });
  const palette = h(
    "fieldset",
    { class: "palette" },
    h("legend", { class: "hidden" }, "Class to paint"),
    ...swatches.map(({ label }) => label),
  );
  choose(Math.min(1, classes.length - 1));
  let untouched = true;
  return {
    surface: raster.surface,
    tools: h("div", { class: "tools" }, tools.element, palette),
    value: () => raster.bytes.slice(),
    show(bytes) {
      raster.show(bytes);
      if (untouched && classes.length > 1) choose(commonest(bytes, classes.length));
      untouched = false;
    },
    blank: new Uint8Array(size * size),
    hint: "Paint the map: each color is a thing.",
    key(event) {
      const value = Number(event.key) - 1;
      if (event.key.length !== 1 || !(value >= 0 && value < classes.length)) return tools.key(event);
      choose(value);
      return true;
    },
    trace: (photo) => raster.underlay(photo),
  };
}

/** The class that a map shows most of, but its ground: what somebody would go on painting. */
function commonest(bytes: Uint8Array, classes: number): number {
  const counts = new Array<number>(classes).fill(0);
  for (const value of bytes) counts[value]! += 1;
  return counts.indexOf(Math.max(...counts.slice(1)), 1);
}
