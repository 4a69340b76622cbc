import { h } from "./dom.ts";
import { type IconName, icon } from "./icons.ts";

/** A button with a picture on it. */
export function act(name: IconName, label: string, click: () => void, key = ""): HTMLButtonElement {
  const title = key === "" ? label : `${label} (${key})`;
  return h("button", { type: "button", class: "tool", title, "aria-label": label, click }, icon(name));
}

/** A button with a picture and words on it. */
export function worded(name: IconName, label: string, click: () => void): HTMLButtonElement {
  return h("button", { type: "button", class: "tool worded", title: label, click }, icon(name), h("span", {}, label));
}

/** A button that asks for a file, and the field behind it. */
export function filePicker(
  accept: string,
  label: string,
  take: (file: File) => void,
  buttonFor: (click: () => void) => HTMLButtonElement,
): [HTMLInputElement, HTMLButtonElement] {
  const input = h("input", { type: "file", accept, class: "hidden", tabindex: -1, "aria-label": label });
  input.addEventListener("change", () => {
    const [file] = input.files ?? [];
    if (file !== undefined) take(file);
    input.value = "";
  });
  return [input, buttonFor(() => input.click())];
}
