import { h } from "./dom.ts";
import { icon } from "./icons.ts";

const KEY = "iqvae-studio-theme";

/** A button that changes between light and dark; before it was ever pressed, the system says which. */
export function themeButton(): HTMLButtonElement {
  const { dataset } = document.documentElement;
  const stored = storage()?.getItem(KEY);
  if (stored === "light" || stored === "dark") dataset.theme = stored;
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
        storage()?.setItem(KEY, dataset.theme);
      },
    },
    icon("theme"),
  );
}

/** Some browsers are told to keep nothing. */
function storage(): Storage | undefined {
  try {
    return localStorage;
  } catch {
    return undefined;
  }
}
