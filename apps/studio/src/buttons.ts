import { h } from "./dom.ts";
import { type IconName, icon } from "./icons.ts";

/**
 * Says whether a button that {@link act} or {@link worded} made means something now: until then a click does nothing. It stays a place
 * for the focus, which the attribute `disabled` would throw off the page.
 */
export function enable(button: HTMLButtonElement, on: boolean): void {
  button.setAttribute("aria-disabled", String(!on));
}

const isEnabled = (button: HTMLButtonElement): boolean => button.getAttribute("aria-disabled") !== "true";

/** A button with a picture on it. */
export function act(name: IconName, label: string, click: () => void, key = ""): HTMLButtonElement {
  const title = key === "" ? label : `${label} (${key})`;
  const values = { type: "button", class: "tool", title, "aria-label": label };
  const button = h("button", { ...values, click: () => isEnabled(button) && click() }, icon(name));
  return button;
}

/** A button with a picture and words on it. */
export function worded(name: IconName, label: string, click: () => void): HTMLButtonElement {
  const values = { type: "button", class: "tool worded", title: label };
  const button = h(
    "button",
    { ...values, click: () => isEnabled(button) && click() },
    icon(name),
    h("span", {}, label),
  );
  return button;
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
