import { type Bundle, type Condition, textOf } from "@iqvae/runtime";
import { h, showPixels } from "../dom.ts";
import { type Kept, writeWork } from "./work.ts";

function save(blob: Blob, name: string): void {
  const href = URL.createObjectURL(blob);
  h("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10_000);
}

async function savePng(rgb: Uint8Array, side: number, name: string): Promise<void> {
  const canvas = document.createElement("canvas");
  showPixels(canvas, rgb, side);
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve));
  if (blob === null) throw new Error("this browser cannot write PNG files");
  save(blob, name);
}

/** A picture as PNG, pixel for pixel. */
export async function savePicture(pixels: Uint8Array, { name, size }: Bundle, number: number): Promise<void> {
  await savePng(pixels, size, `${name}-${number}.png`);
}

/** A condition, in a form that `iqvae sample --condition` takes where there is one. */
export async function saveCondition(bytes: Uint8Array, model: Bundle, condition: Condition): Promise<void> {
  const { name, size } = model;
  switch (model.condition.kind) {
    case "semantic":
    case "lines":
    case "edges":
      await savePng(condition.draw(bytes, size), size, `${name}-condition.png`);
      return;
    case "text":
      save(new Blob([textOf(bytes)], { type: "text/plain" }), `${name}-condition.txt`);
      return;
    default: {
      const json = JSON.stringify({ kind: condition.kind, shape: condition.shape, bytes: [...bytes] });
      save(new Blob([json], { type: "application/json" }), `${name}-condition.json`);
    }
  }
}

/** All that the pictures follow from. */
export function saveWork(work: Kept): void {
  save(new Blob([`${writeWork(work)}\n`], { type: "application/json" }), `${work.model}-settings.json`);
}
