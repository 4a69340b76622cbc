import { type Box, type LayoutSpec, layoutBytes } from "@iqvae/runtime";
import { enable, worded } from "../buttons.ts";
import { announce, h } from "../dom.ts";
import { ARROWS, clamp, drag, placeOn } from "../pointer.ts";
import { Chips } from "./chips.ts";
import type { Editor, Listener } from "./editor.ts";
import { Underlay } from "./underlay.ts";

const MOST = 255;
/** The least width and height that is drawn by hand. */
const LEAST = 8;

/** Boxes, each drawn, moved and stretched. */
export function layoutEditor(spec: LayoutSpec, listener: Listener): Editor {
  const { classes } = spec;
  let boxes: Box[] = [];
  let chosen: number | undefined;
  let label = 0;
  const underlay = new Underlay();
  const plane = h("div", { class: "plane", pointerdown: (event: PointerEvent) => draw(event) });
  const surface = h("div", { class: "surface paper boxes" }, underlay.element, plane);
  const chips = new Chips({
    type: "radio",
    legend: "Class of the box",
    entries: classes,
    chosen(value) {
      label = value;
      if (chosen !== undefined) change(chosen, { ...boxes[chosen]!, label }, true);
    },
  });
  const count = h("span", { class: "value" });
  const remove = worded("clear", "Remove", () => chosen !== undefined && take(chosen));
  const add = worded("plus", "Add a box", () => {
    const shift = 12 * (boxes.length % 8);
    put({ label, left: 60 + shift, top: 60 + shift, width: 96, height: 96 }, true);
  });

  const choose = (index: number | undefined) => {
    chosen = index;
    if (index !== undefined) label = boxes[index]!.label;
    chips.set(label, true);
    for (const [i, element] of [...plane.children].entries()) element.classList.toggle("chosen", i === index);
    enable(remove, index !== undefined);
  };
  /** A box that has the focus leaves it to the one in its place, so that keys go on. */
  const show = () => {
    const focused = [...plane.children].indexOf(document.activeElement!);
    plane.replaceChildren(...boxes.map((box, i) => boxElement(box, i)));
    enable(add, boxes.length < spec.boxes);
    count.textContent = `${boxes.length} of ${spec.boxes} at most`;
    choose(chosen !== undefined && chosen < boxes.length ? chosen : undefined);
    if (focused >= 0) focus(Math.min(focused, boxes.length - 1));
  };
  const focus = (i: number) => ((plane.children[i] as HTMLElement | undefined) ?? add).focus({ preventScroll: true });
  const boxElement = (box: Box, i: number) => {
    const { name, color } = classes[box.label]!;
    const handle = h("span", { class: "handle", pointerdown: (event: PointerEvent) => grab(event, i, "stretch") });
    const element = h(
      "div",
      {
        class: "box",
        tabindex: 0,
        role: "group",
        "aria-label": `${name}, ${words(box)}`,
        style: `--color: rgb(${color.join(" ")}); z-index: ${MOST * MOST - box.width * box.height}`,
        pointerdown: (event: PointerEvent) => grab(event, i, "move"),
        focus: () => choose(i),
        keydown: (event: KeyboardEvent) => key(event, i),
      },
      h("span", { class: "box-name" }, name),
      handle,
    );
    place(element, box);
    return element;
  };
  const place = (element: HTMLElement, { left, top, width, height }: Box) => {
    const percent = (value: number) => `${(100 * value) / MOST}%`;
    const style = { left: percent(left), top: percent(top), width: percent(width), height: percent(height) };
    Object.assign(element.style, style);
  };
  const change = (i: number, box: Box, ended: boolean) => {
    boxes[i] = box;
    if (ended) show();
    else place(plane.children[i] as HTMLElement, box);
    listener.changed(ended);
  };
  const put = (box: Box, ended: boolean) => {
    if (boxes.length >= spec.boxes) {
      listener.problem(new RangeError(`This model was trained with ${spec.boxes} boxes at most; remove one first.`));
      return false;
    }
    boxes.push(box);
    chosen = boxes.length - 1;
    show();
    listener.changed(ended);
    focus(chosen);
    return true;
  };
  const take = (i: number) => {
    announce(`${classes[boxes[i]!.label]!.name} removed`);
    boxes.splice(i, 1);
    chosen = undefined;
    show();
    listener.changed(true);
  };
  const grab = (event: PointerEvent, i: number, how: "move" | "stretch") => {
    if (event.button !== 0) return;
    event.stopPropagation();
    choose(i);
    const [box, [x, y]] = [boxes[i]!, placeOn(plane, event, MOST)];
    const element = plane.children[i] as HTMLElement;
    const moved = (to: PointerEvent) => {
      const [u, v] = placeOn(plane, to, MOST);
      change(i, how === "move" ? moveBy(box, u - x, v - y) : stretchBy(box, u - x, v - y), false);
    };
    drag(element, event, moved, () => {
      change(i, boxes[i]!, true);
      // Pressing the plane, where a new box is drawn, took it away.
      focus(i);
    });
  };
  /** On the empty plane a new box is drawn. */
  const draw = (event: PointerEvent) => {
    if (event.button !== 0 || event.target !== plane) return;
    const [x, y] = placeOn(plane, event, MOST).map((value) => clamp(Math.round(value), 0, MOST - LEAST)) as [
      number,
      number,
    ];
    if (!put({ label, left: x, top: y, width: LEAST, height: LEAST }, false)) return;
    grab(event, boxes.length - 1, "stretch");
  };
  const key = (event: KeyboardEvent, i: number) => {
    const arrow = ARROWS[event.key];
    if (arrow !== undefined) {
      const [dx, dy] = arrow.map((value) => 8 * value) as [number, number];
      change(i, event.shiftKey ? stretchBy(boxes[i]!, dx, dy) : moveBy(boxes[i]!, dx, dy), true);
      announce(words(boxes[i]!));
    } else if (event.key === "Delete" || event.key === "Backspace") take(i);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  chips.set(0, true);
  show();
  return {
    surface,
    tools: h("div", { class: "tools" }, h("div", { class: "tool-row" }, add, remove, count), chips.element),
    title: "Your layout",
    hint: "Draw a box where a thing should be; pull it, or its corner.",
    keys: "Tab goes from box to box; arrow keys move one, with Shift they stretch it; Delete removes it.",
    blank: new Uint8Array(5 * spec.boxes),
    value: () => layoutBytes(boxes, spec),
    show(bytes) {
      boxes = [];
      for (let at = 0; at < bytes.length; at += 5) {
        const [klass, left, top, width, height] = bytes.subarray(at, at + 5) as unknown as number[];
        if (klass! > 0) boxes.push({ label: klass! - 1, left: left!, top: top!, width: width!, height: height! });
      }
      chosen = undefined;
      show();
    },
    trace: (photo) => underlay.show(photo),
  };
}

function moveBy(box: Box, dx: number, dy: number): Box {
  const left = clamp(Math.round(box.left + dx), 0, MOST - box.width);
  return { ...box, left, top: clamp(Math.round(box.top + dy), 0, MOST - box.height) };
}

function stretchBy(box: Box, dx: number, dy: number): Box {
  const width = clamp(Math.round(box.width + dx), LEAST, MOST - box.left);
  return { ...box, width, height: clamp(Math.round(box.height + dy), LEAST, MOST - box.top) };
}

function words({ left, top, width, height }: Box): string {
  const percent = (value: number) => Math.round((100 * value) / MOST);
  return `${percent(width)} × ${percent(height)} %, at ${percent(left)} % right, ${percent(top)} % down`;
}
