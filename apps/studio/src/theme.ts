import { h } from "./dom.ts";
import { icon } from "./icons.ts";

const KEY = "iqvae-studio-theme";

/** A button that changes between light and dark; before it was ever pressed, the system says which. */
export function themeButton(): HTMLButtonElement {
  const { dataset } = document.documentElement;
  const stored = localStorage.getItem(KEY);
  if (stored !== null) dataset.theme = stored;
  const isDark = () =>
    (dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  return h(
    "button",
    {
      type: "button",
      class: "tool",
      title: "Light or dark",
      "aria-label": "Light or dark",
      click() {
        dataset.theme = isDark() ? "light" : "dark";
        localStorage.setItem(KEY, dataset.theme);
      },
    },
    icon("theme"),
  );
}
