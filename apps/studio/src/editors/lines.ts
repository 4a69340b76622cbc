import { h } from "../dom.ts";
import type { Editor, Listener } from "./editor.ts";
import { Raster } from "./raster.ts";
import { rasterTools } from "./tools.ts";

/** Ink on paper: a sketch, or edges. */
export function linesEditor(size: number, listener: Listener): Editor {
  const raster = new Raster(
    {
      size,
      label: "Sketch",
      colors: [
        [255, 255, 255],
        [24, 22, 20],
      ],
      name: (value) => (value === 0 ? "paper" : "ink"),
      ground: 0,
    },
    listener,
  );
  raster.ink = 1;
  raster.diameter = 1;
  const tools = rasterTools(raster, ["brush", "eraser"], Math.max(4, Math.round(size / 8)));
  return {
    surface: raster.surface,
    tools: h("div", { class: "tools" }, tools.element),
    value: () => raster.bytes.slice(),
    show: (bytes) => raster.show(bytes),
    blank: new Uint8Array(size * size),
    hint: "Sketch the outlines in thin lines.",
    key: tools.key,
  };
}
