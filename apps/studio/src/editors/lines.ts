import { h } from "../dom.ts";
import { squareOf, toCondition } from "../media/media.ts";
import type { Editor, Listener } from "./editor.ts";
import { Newest } from "./newest.ts";
import { Raster } from "./raster.ts";
import { rasterTools } from "./tools.ts";

const PAPER_AND_INK = [
  [255, 255, 255],
  [24, 22, 20],
] as const;

/** Ink on paper: a sketch, or edges. */
export function linesEditor(size: number, listener: Listener): Editor {
  const name = (value: number) => (value === 0 ? "paper" : "ink");
  const raster = new Raster({ size, label: "Sketch", colors: PAPER_AND_INK, name, ground: 0 }, listener);
  raster.ink = 1;
  raster.diameter = 1;
  const tools = rasterTools(raster, ["brush", "eraser"], Math.max(4, Math.round(size / 8)));
  const photos = new Newest();
  return {
    surface: raster.surface,
    tools: h("div", { class: "tools" }, tools.element),
    title: "Your sketch",
    hint: "Thin lines say where things end. A photo becomes a sketch by its edges.",
    keys: "Arrow keys move, with Shift by more; the space bar draws. B and E choose brush and eraser, the brackets the size.",
    blank: new Uint8Array(size * size),
    value: () => raster.bytes.slice(),
    show(bytes) {
      photos.begin();
      raster.show(bytes);
    },
    key: tools.key,
    async convert(photo) {
      const isNewest = photos.begin();
      const sketch = await toCondition({ kind: "edges", rgb: squareOf(photo, size), size });
      if (!isNewest()) return;
      raster.show(sketch);
      listener.changed(true);
    },
  };
}
