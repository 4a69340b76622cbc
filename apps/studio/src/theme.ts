import { h } from "./dom.ts";
import { icon } from "./icons.ts";

const KEY = "iqvae-studio-theme";

/** A button that changes between light and dark; before it was ever pressed, the system says which. */
export function themeButton(): HTMLButtonElement {
  const { dataset } = document.documentElement;
  quietly(() => {
    const stored = localStorage.getItem(KEY);
    if (stored === "light" || stored === "dark") dataset.theme = stored;
  });
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
        const theme = isDark() ? "light" : "dark";
        dataset.theme = theme;
        quietly(() => localStorage.setItem(KEY, theme));
      },
    },
    icon("theme"),
  );
}

/** Some browsers are told to keep nothing, and others have no room left. */
function quietly(use: () => void): void {
  try {
    use();
  } catch {
    // The page looks right without.
  }
}
