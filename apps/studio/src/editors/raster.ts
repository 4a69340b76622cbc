import { announce, h } from "../dom.ts";
import { ARROWS, clamp } from "../pointer.ts";
import type { Listener } from "./editor.ts";
import { Underlay } from "./underlay.ts";

export type Tool = "brush" | "fill" | "eraser";

/** How a raster of values is painted. */
export interface RasterOptions {
  readonly size: number;
  readonly label: string;
  readonly colors: readonly (readonly [number, number, number])[];
  /** What a value is called. */
  name(value: number): string;
  /** What is left where it was erased. */
  readonly ground: number;
}

/** A grid of values `[size, size]` that is painted by mouse, pen, finger or keys. */
export class Raster {
  readonly surface: HTMLElement;
  bytes: Uint8Array;
  tool: Tool = "brush";
  /** What the brush leaves. */
  ink: number;
  /** The brush's diameter in pixels. */
  diameter = 2;
  readonly #options: RasterOptions;
  readonly #listener: Listener;
  readonly #canvas: HTMLCanvasElement;
  readonly #image: ImageData;
  /** The bytes of a pixel in each color, as one number. */
  readonly #palette: Uint32Array;
  readonly #cursor: HTMLElement;
  readonly underlay = new Underlay();
  /** The pixel of the keys, or of the pointer. */
  #at: readonly [number, number];
  #last: readonly [number, number] | undefined;
  /** Whose stroke goes on. */
  #pointer: number | undefined;

  constructor(options: RasterOptions, listener: Listener) {
    const { size, ground, label, colors } = options;
    this.#options = options;
    this.#image = new ImageData(size, size);
    this.#palette = new Uint32Array(Uint8Array.from(colors.flatMap((color) => [...color, 255])).buffer);
    this.#listener = listener;
    this.bytes = new Uint8Array(size * size).fill(ground);
    this.ink = ground;
    this.#at = [size >> 1, size >> 1];
    this.#canvas = h("canvas", {
      width: size,
      height: size,
      tabindex: 0,
      role: "application",
      "aria-label": label,
      "aria-describedby": "surface-help",
      class: "raster",
    });
    this.#cursor = h("div", { class: "brush-cursor", hidden: true });
    this.surface = h("div", { class: "surface" }, this.underlay.element, this.#canvas, this.#cursor);
    this.#listen();
    this.paint();
  }

  /** Takes other values. */
  show(bytes: Uint8Array): void {
    this.bytes = bytes.slice();
    this.paint();
  }

  /** Shows values as colors. */
  paint(): void {
    const pixels = new Uint32Array(this.#image.data.buffer);
    for (let i = 0; i < pixels.length; i++) pixels[i] = this.#palette[this.bytes[i]!]!;
    this.#canvas.getContext("2d")!.putImageData(this.#image, 0, 0);
  }

  /** Keys of the surface: arrows move, space paints, with Shift by more. @returns whether it was one */
  #key(event: KeyboardEvent): boolean {
    const move = ARROWS[event.key];
    const { size, name } = this.#options;
    if (move !== undefined) {
      const by = event.shiftKey ? 4 : 1;
      this.#at = this.#at.map((value, axis) => clamp(value + by * move[axis]!, 0, size - 1)) as [number, number];
      this.#showCursor();
      announce(
        `column ${this.#at[0] + 1}, row ${this.#at[1] + 1}: ${name(this.bytes[this.#at[1] * size + this.#at[0]]!)}`,
      );
      return true;
    }
    if (event.key !== " " && event.key !== "Enter") return false;
    this.#apply(this.#at, this.#at, this.tool, this.diameter);
    this.paint();
    this.#listener.changed(true);
    announce(`${this.tool === "eraser" ? "erased" : `painted ${name(this.ink)}`}`);
    return true;
  }

  #listen(): void {
    const canvas = this.#canvas;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 && event.button !== 5) return;
      // A hand beside a pen paints nothing; where it came first, the pen takes over.
      if (this.#last !== undefined && event.pointerType !== "pen") return;
      this.#pointer = event.pointerId;
      canvas.setPointerCapture(event.pointerId);
      this.#last = this.#place(event);
      this.#stroke([event]);
      if (this.#toolOf(event) === "fill") this.#end();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (this.#last !== undefined && event.pointerId !== this.#pointer) return;
      this.#at = this.#place(event);
      this.#showCursor();
      if (this.#last === undefined) return;
      const all = event.getCoalescedEvents?.() ?? [];
      this.#stroke(all.length > 0 ? all : [event]);
      this.#listener.changed(false);
    });
    for (const name of ["pointerup", "pointercancel"])
      canvas.addEventListener(name, (event) => (event as PointerEvent).pointerId === this.#pointer && this.#end());
    canvas.addEventListener("pointerleave", () => {
      this.#cursor.hidden = true;
    });
    canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && this.#showCursor());
    canvas.addEventListener("blur", () => {
      this.#cursor.hidden = true;
    });
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !this.#key(event)) return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  #end(): void {
    if (this.#last === undefined) return;
    this.#last = undefined;
    this.#listener.changed(true);
  }

  #place({ clientX, clientY }: PointerEvent): readonly [number, number] {
    const { left, top, width } = this.#canvas.getBoundingClientRect();
    const pixel = (distance: number) => Math.floor((distance / width) * this.#options.size);
    return [pixel(clientX - left), pixel(clientY - top)];
  }

  /** A pen's other end erases. */
  #toolOf(event: PointerEvent): Tool {
    return (event.buttons & 32) !== 0 ? "eraser" : this.tool;
  }

  /** Follows all that a pointer tells of at once. */
  #stroke(events: readonly PointerEvent[]): void {
    for (const event of events) {
      const to = this.#place(event);
      // Pens paint broader when they are pressed; a mouse always says one half.
      const diameter = event.pointerType === "pen" ? this.diameter * (0.5 + event.pressure) : this.diameter;
      this.#apply(this.#last ?? to, to, this.#toolOf(event), Math.max(1, Math.round(diameter)));
      this.#last = to;
    }
    this.paint();
  }

  #apply(from: readonly [number, number], to: readonly [number, number], tool: Tool, diameter: number): void {
    const { size, ground } = this.#options;
    const value = tool === "eraser" ? ground : this.ink;
    if (tool === "fill") flood(this.bytes, size, to, value);
    else line(this.bytes, size, { from, to, diameter, value });
  }

  #showCursor(): void {
    const { size } = this.#options;
    const side = this.tool === "fill" ? 1 : this.diameter;
    const [x, y] = this.#at.map((value) => ((value - Math.floor((side - 1) / 2)) / size) * 100);
    this.#cursor.hidden = false;
    Object.assign(this.#cursor.style, { left: `${x}%`, top: `${y}%`, width: `${(side / size) * 100}%` });
  }
}

interface Stroke {
  readonly from: readonly [number, number];
  readonly to: readonly [number, number];
  readonly diameter: number;
  readonly value: number;
}

/** A line of round dots. */
export function line(bytes: Uint8Array, size: number, { from, to, diameter, value }: Stroke): void {
  const steps = Math.max(1, Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1]));
  for (let i = 0; i <= steps; i++) {
    const [x, y] = [0, 1].map((axis) => Math.round(from[axis]! + ((to[axis]! - from[axis]!) * i) / steps));
    dot(bytes, size, { at: [x!, y!], diameter, value });
  }
}

function dot(bytes: Uint8Array, size: number, stroke: { at: [number, number]; diameter: number; value: number }): void {
  const { at, diameter, value } = stroke;
  const first = Math.floor((diameter - 1) / 2);
  const middle = (diameter - 1) / 2;
  for (let v = 0; v < diameter; v++) {
    for (let u = 0; u < diameter; u++) {
      const [x, y] = [at[0] - first + u, at[1] - first + v];
      const inside = Math.hypot(u - middle, v - middle) <= diameter / 2;
      if (inside && x >= 0 && y >= 0 && x < size && y < size) bytes[y * size + x] = value;
    }
  }
}

/** Everything of one value that hangs together with a pixel. */
export function flood(bytes: Uint8Array, size: number, [x, y]: readonly [number, number], value: number): void {
  if (x < 0 || y < 0 || x >= size || y >= size) return;
  const old = bytes[y * size + x]!;
  if (old === value) return;
  const stack = [y * size + x];
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    if (bytes[at] !== old) continue;
    bytes[at] = value;
    const column = at % size;
    if (column > 0) stack.push(at - 1);
    if (column < size - 1) stack.push(at + 1);
    if (at >= size) stack.push(at - size);
    if (at < size * (size - 1)) stack.push(at + size);
  }
}
