import type { Rgb } from "./spec.ts";

/** Glyphs of three by five dots, rows from the top, three bits each: small enough to be read at 32 pixels. */
// biome-ignore format: a table
const GLYPHS: Readonly<Record<string, string>> = {
  a: "25755", b: "65656", c: "34443", d: "65556", e: "74647", f: "74644", g: "34553", h: "55755", i: "72227",
  j: "11152", k: "55655", l: "44447", m: "57755", n: "65555", o: "25552", p: "65644", q: "25563", r: "65655",
  s: "34216", t: "72222", u: "55557", v: "55552", w: "55775", x: "55255", y: "55222", z: "71247",
  0: "75557", 1: "26227", 2: "61247", 3: "61216", 4: "55711", 5: "74616", 6: "34757", 7: "71222", 8: "75757", 9: "75716",
  "-": "00700", "'": "22000", ".": "00002", ",": "00024", "!": "22202", ":": "02020", "&": "25253", "?": "61202",
};

/** Dots from one glyph to the next, and from one line to the next. */
export const GLYPH_ADVANCE = 4;
export const LINE_ADVANCE = 7;

/** A square picture to draw a condition into, white at first. */
export class Canvas {
  readonly side: number;
  /** RGB bytes `[side, side, 3]`. */
  readonly pixels: Uint8Array;

  constructor(side: number, ground: Rgb = [255, 255, 255]) {
    this.side = side;
    this.pixels = new Uint8Array(side * side * 3);
    for (let at = 0; at < this.pixels.length; at += 3) this.pixels.set(ground, at);
  }

  /** Sets a pixel; outside of the picture nothing happens. */
  set(x: number, y: number, color: Rgb): void {
    const { side } = this;
    if (x >= 0 && y >= 0 && x < side && y < side) this.pixels.set(color, 3 * (y * side + x));
  }

  /** A line of one pixel between two points, ends included. */
  line([x0, y0]: readonly [number, number], [x1, y1]: readonly [number, number], color: Rgb): void {
    const steps = Math.max(1, Math.ceil(Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0))));
    for (let i = 0; i <= steps; i++) {
      this.set(Math.floor(x0 + ((x1 - x0) * i) / steps), Math.floor(y0 + ((y1 - y0) * i) / steps), color);
    }
  }

  disc(x: number, y: number, radius: number, color: Rgb): void {
    for (let v = Math.floor(y - radius); v <= y + radius; v++) {
      for (let u = Math.floor(x - radius); u <= x + radius; u++) {
        if (Math.hypot(u + 0.5 - x, v + 0.5 - y) <= radius) this.set(u, v, color);
      }
    }
  }

  /** The outline of a rectangle from one corner to the other. */
  frame(left: number, top: number, right: number, bottom: number, color: Rgb): void {
    for (let x = left; x <= right; x++) for (const y of [top, bottom]) this.set(x, y, color);
    for (let y = top; y <= bottom; y++) for (const x of [left, right]) this.set(x, y, color);
  }

  /** Small letters; what has no glyph is left blank. */
  text(text: string, left: number, top: number, color: Rgb, scale = 1): void {
    [...text.toLowerCase()].forEach((character, i) => {
      const rows = GLYPHS[character] ?? "";
      for (let at = 0; at < rows.length * 3; at++) {
        const [x, y] = [at % 3, Math.floor(at / 3)];
        if (((Number(rows[y]) >> (2 - x)) & 1) === 0) continue;
        const corner = [left + (i * GLYPH_ADVANCE + x) * scale, top + y * scale] as const;
        for (let dot = 0; dot < scale * scale; dot++) {
          this.set(corner[0] + (dot % scale), corner[1] + Math.floor(dot / scale), color);
        }
      }
    });
  }
}
