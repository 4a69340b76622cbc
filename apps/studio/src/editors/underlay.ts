import { h } from "../dom.ts";
import { drawSquare } from "../media/media.ts";

const SIDE = 512;

/** A photo under a surface, to trace it by hand. */
export class Underlay {
  readonly element = h("canvas", { class: "under", width: SIDE, height: SIDE, hidden: true });

  /** Lays it under, or takes it away. */
  show(photo: ImageBitmap | undefined): void {
    this.element.hidden = photo === undefined;
    this.element.parentElement!.classList.toggle("traced", photo !== undefined);
    if (photo !== undefined) drawSquare(this.element.getContext("2d")!, photo, SIDE);
  }
}
