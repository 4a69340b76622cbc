import { act, filePicker } from "./buttons.ts";
import type { Editor } from "./editors/index.ts";
import { Newest } from "./editors/newest.ts";

/** Buttons for what can be done with a photo. @param attempt tells of what does not work */
export function photoActs({ trace, convert }: Editor, attempt: (promise: Promise<void>) => void): Node[] {
  if (trace === undefined && convert === undefined) return [];
  const label = convert ? "Make a sketch of a photo" : "Lay a photo under it";
  let traced = false;
  const photos = new Newest();
  const under = (photo: ImageBitmap | undefined) => {
    traced = photo !== undefined;
    trace?.(photo);
    button.setAttribute("aria-pressed", String(traced));
  };
  const use = async (file: File) => {
    const isNewest = photos.begin();
    const photo = await createImageBitmap(file).catch(() => {
      throw new Error(`${file.name} is not a picture that this browser can read.`);
    });
    if (!isNewest()) return;
    if (convert) await convert(photo);
    else under(photo);
  };
  const [input, button] = filePicker(
    "image/*",
    label,
    (file) => attempt(use(file)),
    (click) => act("photo", label, () => (traced ? under(undefined) : click())),
  );
  if (trace) button.setAttribute("aria-pressed", "false");
  return [input, button];
}
