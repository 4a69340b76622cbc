import { type Bundle, type Condition, type KeyPointSpec, type LayoutSpec, textOf } from "@iqvae/runtime";
import { h } from "../dom.ts";
import { type Kept, writeWork } from "./work.ts";

function save(blob: Blob, name: string): void {
  const href = URL.createObjectURL(blob);
  h("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10_000);
}

/**
 * RGB bytes `[side, side, 3]` as PNG. Not by a canvas: browsers that keep pages from recognizing somebody give noise for what is on one,
 * and no page is told.
 */
async function savePng(rgb: Uint8Array, side: number, name: string): Promise<void> {
  const { encode } = await import("fast-png");
  const bytes = encode({ width: side, height: side, data: rgb, channels: 3 });
  save(new Blob([bytes as Uint8Array<ArrayBuffer>], { type: "image/png" }), name);
}

/** A picture as PNG, pixel for pixel. */
export async function savePicture(pixels: Uint8Array, { name, size }: Bundle, number: number): Promise<void> {
  await savePng(pixels, size, `${name}-${number}.png`);
}

/** Points as `parsePoints` of the runtime reads them. */
export function pointsOf(bytes: Uint8Array, { points }: KeyPointSpec): (readonly [x: number, y: number] | null)[] {
  return points.map((_, k) => {
    const [x = 0, y = 0, seen] = bytes.subarray(3 * k, 3 * k + 3);
    return seen === 1 ? [x / 255, y / 255] : null;
  });
}

/** Boxes as `parseBoxes` of the runtime reads them. */
export function boxesOf(bytes: Uint8Array, { classes, boxes }: LayoutSpec): { class: string; box: number[] }[] {
  return Array.from({ length: boxes }, (_, n) => bytes.subarray(5 * n, 5 * n + 5)).flatMap(([label = 0, ...box]) => {
    const found = classes[label - 1];
    return found === undefined ? [] : [{ class: found.name, box: box.map((place) => place / 255) }];
  });
}

/** Whether a condition can be saved: of a sound only its spectrogram is left, which no program takes. */
export function canSave({ condition: { kind } }: Bundle): boolean {
  return kind !== "audio";
}

/** A condition, in the form that `iqvae sample --condition` takes. */
export async function saveCondition(bytes: Uint8Array, model: Bundle, condition: Condition): Promise<void> {
  const { name, size, condition: spec } = model;
  const saveJson = (value: unknown) =>
    save(new Blob([`${JSON.stringify(value)}\n`], { type: "application/json" }), `${name}-condition.json`);
  switch (spec.kind) {
    case "semantic":
    case "lines":
    case "edges":
      await savePng(condition.draw(bytes, size), size, `${name}-condition.png`);
      return;
    case "text":
      save(new Blob([textOf(bytes)], { type: "text/plain" }), `${name}-condition.txt`);
      return;
    case "keypoints":
      saveJson(pointsOf(bytes, spec));
      return;
    case "layout":
      saveJson(boxesOf(bytes, spec));
      return;
    case "audio":
      return;
  }
}

/** All that the pictures follow from. */
export function saveWork(work: Kept): void {
  save(new Blob([`${writeWork(work)}\n`], { type: "application/json" }), `${work.model}-settings.json`);
}
