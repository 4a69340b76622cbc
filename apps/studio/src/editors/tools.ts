import { h } from "../dom.ts";
import { type IconName, icon } from "../icons.ts";
import type { Raster, Tool } from "./raster.ts";

const TOOLS: Readonly<Record<Tool, { label: string; key: string; icon: IconName }>> = {
  brush: { label: "Brush", key: "b", icon: "brush" },
  fill: { label: "Fill", key: "g", icon: "fill" },
  eraser: { label: "Eraser", key: "e", icon: "eraser" },
};

/** Buttons for the tools of a raster, and the size of its brush. */
export function rasterTools(raster: Raster, tools: readonly Tool[], most: number) {
  const buttons = new Map<Tool, HTMLButtonElement>();
  const choose = (tool: Tool) => {
    raster.tool = tool;
    for (const [name, button] of buttons) button.setAttribute("aria-pressed", String(name === tool));
  };
  for (const tool of tools) {
    const { label, key, icon: name } = TOOLS[tool];
    const title = `${label} (${key.toUpperCase()})`;
    buttons.set(
      tool,
      h("button", { type: "button", class: "tool", title, "aria-label": label, click: () => choose(tool) }, icon(name)),
    );
  }
  const shown = h("output", { class: "value" });
  const slider = h("input", {
    type: "range",
    min: 1,
    max: most,
    step: 1,
    value: raster.diameter,
    "aria-label": "Brush size",
    input: () => resize(Number(slider.value)),
  });
  const resize = (diameter: number) => {
    raster.diameter = Math.min(most, Math.max(1, diameter));
    slider.value = String(raster.diameter);
    shown.textContent = `${raster.diameter} px`;
  };
  choose("brush");
  resize(raster.diameter);
  return {
    element: h(
      "div",
      { class: "tool-row" },
      h("div", { class: "tool-group", role: "group", "aria-label": "Tools" }, ...buttons.values()),
      h("label", { class: "size" }, h("span", {}, "Size"), slider, shown),
    ),
    choose,
    /** @returns whether the key was one of the tools' */
    key(character: string): boolean {
      const tool = tools.find((each) => TOOLS[each].key === character);
      if (tool !== undefined) choose(tool);
      else if (character === "[" || character === "]") resize(raster.diameter + (character === "]" ? 1 : -1));
      else return false;
      return true;
    },
  };
}
