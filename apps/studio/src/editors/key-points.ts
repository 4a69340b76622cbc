import { hslColor, type KeyPointSpec } from "@iqvae/runtime";
import { announce, h } from "../dom.ts";
import { ARROWS, clamp, drag, placeOn } from "../pointer.ts";
import { Chips } from "./chips.ts";
import type { Editor, Listener } from "./editor.ts";
import { Underlay } from "./underlay.ts";

const MOST = 255;
const SVG = "http://www.w3.org/2000/svg";

/** Points of a body, each dragged to its place. */
export function keyPointEditor({ points: names, bones }: KeyPointSpec, listener: Listener): Editor {
  const count = names.length;
  const blank = circle(count);
  let bytes = blank.slice();
  const colors = names.map((_, k) => hslColor((360 * k) / count, 0.85, 0.44));
  const underlay = new Underlay();
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${MOST} ${MOST}`);
  const lines = bones.map(([, to]) => {
    const line = document.createElementNS(SVG, "line");
    line.setAttribute("stroke", `rgb(${colors[to]!.join(" ")})`);
    svg.append(line);
    return line;
  });
  const buttons = names.map((_, k) =>
    h("button", {
      type: "button",
      class: "point",
      style: `--color: rgb(${colors[k]!.join(" ")})`,
      keydown: (event: KeyboardEvent) => key(event, [k]),
      pointerdown: (event: PointerEvent) => grab(event, [k]),
    }),
  );
  const surface = h(
    "div",
    { class: "surface paper pose", pointerdown: (event: PointerEvent) => event.target === svg && grab(event, all()) },
    underlay.element,
    svg,
    ...buttons,
  );
  const chips = new Chips({
    type: "checkbox",
    legend: "Points that can be seen",
    entries: names.map((name, k) => ({ name, color: colors[k]! })),
    chosen: (k, on) => toggle(k, on),
  });
  const summary = h("summary", {}, "Points that can be seen");

  const all = () => names.map((_, k) => k).filter((k) => bytes[3 * k + 2] === 1);
  /** A point that is hidden leaves the focus to the next one that is not. */
  const show = () => {
    const focused = (buttons as Element[]).indexOf(document.activeElement!);
    const at = (k: number) => [bytes[3 * k]!, bytes[3 * k + 1]!] as const;
    const seen = (k: number) => bytes[3 * k + 2] === 1;
    for (const [k, button] of buttons.entries()) {
      const [x, y] = at(k);
      button.hidden = !seen(k);
      Object.assign(button.style, { left: `${(100 * x) / MOST}%`, top: `${(100 * y) / MOST}%` });
      const percent = (value: number) => `${Math.round((100 * value) / MOST)} %`;
      button.setAttribute("aria-label", `${names[k]}, ${percent(x)} right, ${percent(y)} down`);
      button.title = names[k]!;
      chips.set(k, seen(k));
    }
    for (const [i, [from, to]] of bones.entries()) {
      lines[i]!.style.display = seen(from) && seen(to) ? "" : "none";
      const [[x1, y1], [x2, y2]] = [at(from), at(to)];
      for (const [name, value] of Object.entries({ x1, y1, x2, y2 })) lines[i]!.setAttribute(name, String(value));
    }
    if (focused < 0 || seen(focused)) return;
    const next = [...buttons.slice(focused), ...buttons.slice(0, focused)].find(({ hidden }) => !hidden);
    (next ?? summary).focus({ preventScroll: true });
  };
  /** Moves points as far as all of them stay on the picture. */
  const move = (which: readonly number[], from: Uint8Array, dx: number, dy: number) => {
    const bounded = (axis: number, by: number) => {
      const values = which.map((k) => from[3 * k + axis]!);
      return clamp(Math.round(by), -Math.min(...values), MOST - Math.max(...values));
    };
    const [right, down] = [bounded(0, dx), bounded(1, dy)];
    for (const k of which) bytes.set([from[3 * k]! + right, from[3 * k + 1]! + down], 3 * k);
    show();
  };
  const grab = (event: PointerEvent, which: readonly number[]) => {
    if (event.button !== 0 || which.length === 0) return;
    const [from, [x, y]] = [bytes.slice(), placeOn(surface, event, MOST)];
    const moved = (to: PointerEvent) => {
      const [u, v] = placeOn(surface, to, MOST);
      move(which, from, u - x, v - y);
      listener.changed(false);
    };
    drag(event.currentTarget as HTMLElement, event, moved, () => listener.changed(true));
  };
  const toggle = (k: number, on: boolean) => {
    bytes.set(on ? blank.subarray(3 * k, 3 * k + 3) : [0, 0, 0], 3 * k);
    show();
    listener.changed(true);
  };
  const key = (event: KeyboardEvent, which: readonly number[]) => {
    const arrow = ARROWS[event.key];
    const [k] = which;
    if (arrow !== undefined) {
      const by = event.shiftKey ? 16 : 4;
      move(which, bytes.slice(), by * arrow[0], by * arrow[1]);
      listener.changed(true);
      announce(buttons[k!]!.getAttribute("aria-label")!);
    } else if (event.key === "Delete" || event.key === "Backspace") toggle(k!, false);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  show();
  return {
    surface,
    tools: h("details", { class: "tools" }, summary, chips.element),
    title: "Your pose",
    hint: "Pull the points; pull between them to move the whole.",
    keys: "Tab goes from point to point; arrow keys move one, with Shift by more; Delete hides it.",
    blank,
    value: () => bytes.slice(),
    show(next) {
      bytes = next.slice();
      show();
    },
    trace: (photo) => underlay.show(photo),
  };
}

/** All points around the middle. */
function circle(count: number): Uint8Array {
  return Uint8Array.from({ length: 3 * count }, (_, i) => {
    const angle = (2 * Math.PI * Math.floor(i / 3)) / count;
    return i % 3 === 2 ? 1 : Math.round(128 + 80 * (i % 3 === 0 ? Math.sin(angle) : -Math.cos(angle)));
  });
}
