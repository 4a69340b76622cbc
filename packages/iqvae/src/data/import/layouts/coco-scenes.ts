import { isNumber } from "@iqvae/runtime";
import type { PairEntry } from "../../cache.ts";
import type { Problems } from "../problems.ts";
import type { FileTree } from "../readers/file-tree.ts";
import { type ListElement, readLists } from "../readers/json-lists.ts";

/** An image and its objects, as annotations say. */
export interface Scene {
  readonly entry: PairEntry;
  readonly image: string;
  /** To be compared with the picture's. */
  readonly width: number;
  readonly height: number;
  /** For each object five numbers: the category's number in {@link Categories}, then left, top, width and height in pixels. */
  readonly objects: readonly number[];
}

/**
 * An id as text, so that two never become one: JSON sets whole numbers no limit, and a double rounds those from 2⁵³ on.
 *
 * @returns `undefined` for what is not a whole number, or was rounded where it was written, as 9.007199254740993e15 is
 */
function idOf(value: unknown): string | undefined {
  return typeof value === "bigint" || Number.isSafeInteger(value) ? String(value) : undefined;
}

/** Names of categories, numbered as they come. All files of a data set share them. */
export class Categories {
  readonly #numbers = new Map<string, number>();
  readonly #known: { readonly id: string; readonly names: Set<string> }[] = [];

  numberOf(id: string): number {
    const known = this.#numbers.get(id);
    if (known !== undefined) return known;
    this.#numbers.set(id, this.#known.length);
    return this.#known.push({ id, names: new Set() }) - 1;
  }

  add(id: string, name: string): void {
    this.#known[this.numberOf(id)]!.names.add(name);
  }

  /** A category's id, and the names that files give it; there should be one. */
  get(number: number): { readonly id: string; readonly names: readonly string[] } {
    const { id, names } = this.#known[number]!;
    return { id, names: [...names] };
  }
}

type Fields = Readonly<Record<string, unknown>>;

/** The annotations of one part, read an element at a time. Crowds are left out. */
export class SceneReader {
  readonly #folder: string;
  readonly #validation: boolean;
  readonly #present: ReadonlyMap<string, string>;
  readonly #categories: Categories;
  readonly #problems: Problems;
  /** By id. */
  readonly #scenes = new Map<string, Omit<Scene, "objects">>();
  readonly #objects = new Map<string, number[]>();
  /** Ids that stand for several images, with the reason. */
  readonly #ambiguous = new Map<string, string>();
  readonly #named = new Set<string>();

  /**
   * @param folder where the part's images lie
   * @param present files, by their name as it is composed
   */
  constructor(
    folder: string,
    validation: boolean,
    present: ReadonlyMap<string, string>,
    categories: Categories,
    problems: Problems,
  ) {
    this.#folder = folder;
    this.#validation = validation;
    this.#present = present;
    this.#categories = categories;
    this.#problems = problems;
  }

  /** Reads a file. @throws Error when it is not JSON of lists */
  async read(tree: FileTree, table: string, onProgress: (done: number, total: number) => void): Promise<void> {
    await readLists(tree.at(table), (element) => this.#take(table, element), onProgress);
  }

  /** What has been read; images that several ids or several entries claim are left out. */
  scenes(): Scene[] {
    const byImage = new Map<string, string>();
    for (const [id, { image }] of this.#scenes) {
      const other = byImage.get(image);
      if (other === undefined) byImage.set(image, id);
      else {
        const reason = `${image} has the ids ${other} and ${id}`;
        this.#ambiguous.set(other, reason);
        this.#ambiguous.set(id, reason);
      }
    }
    const unclear = new Map([...this.#ambiguous].map(([id, reason]) => [this.#scenes.get(id)!.image, reason]));
    for (const [image, reason] of unclear) this.#problems.add("ambiguous partner", image, reason);
    for (const [name, file] of this.#present) {
      if (name.startsWith(`${this.#folder}/`) && !this.#named.has(file))
        this.#problems.add("missing partner", file, "no annotation names it");
    }
    return [...this.#scenes].flatMap(([id, scene]) =>
      this.#ambiguous.has(id) ? [] : [{ ...scene, objects: this.#objects.get(id) ?? [] }],
    );
  }

  #take(table: string, { list, value }: ListElement): void {
    const fields = (typeof value === "object" && value !== null ? value : {}) as Fields;
    const reason =
      list === "categories"
        ? this.#category(fields)
        : list === "images"
          ? this.#image(fields)
          : list === "annotations"
            ? this.#object(fields)
            : undefined;
    if (reason !== undefined) this.#problems.add("bad annotation", `${table} ${shown(fields.id)}`, reason);
  }

  #category({ id, name }: Fields): string | undefined {
    const key = idOf(id);
    if (key === undefined || typeof name !== "string") return "a category needs id, a whole number, and name";
    this.#categories.add(key, name);
    return undefined;
  }

  #image({ id, file_name: name, width, height }: Fields): string | undefined {
    const key = idOf(id);
    if (key === undefined || typeof name !== "string" || !isNumber(width) || !isNumber(height)) {
      return "an image needs id, a whole number, file_name, width and height";
    }
    const image = this.#present.get(`${this.#folder}/${name}`.normalize("NFC"));
    if (image === undefined) {
      const missing = `${this.#folder}/${name}`;
      this.#problems.add("missing partner", missing, `there is no ${missing}`);
      return undefined;
    }
    this.#named.add(image);
    const known = this.#scenes.get(key);
    // Things and stuff have a file each, and both name all images.
    if (known === undefined) {
      this.#scenes.set(key, { entry: { id: image, validation: this.#validation }, image, width, height });
    } else if (known.image !== image || known.width !== width || known.height !== height) {
      this.#ambiguous.set(key, `its id ${key} is given again, for ${image} of ${width} × ${height} pixels`);
      if (known.image !== image)
        this.#problems.add("ambiguous partner", image, `its id ${key} is that of ${known.image}`);
    }
    return undefined;
  }

  #object({ image_id: image, category_id: category, bbox, iscrowd }: Fields): string | undefined {
    if (iscrowd === 1 || iscrowd === true) return undefined;
    const crowd = iscrowd === undefined || iscrowd === null || iscrowd === 0 || iscrowd === false;
    if (!crowd) return `iscrowd is ${shown(iscrowd)}, not 0 or 1`;
    const [owner, kind] = [idOf(image), idOf(category)];
    if (
      owner === undefined ||
      kind === undefined ||
      !Array.isArray(bbox) ||
      bbox.length !== 4 ||
      !bbox.every(isNumber)
    ) {
      return "an object needs image_id and category_id, whole numbers, and bbox";
    }
    const known = this.#objects.get(owner) ?? [];
    known.push(this.#categories.numberOf(kind), ...(bbox as number[]));
    this.#objects.set(owner, known);
    return undefined;
  }
}

/** For a message, as JSON shows it. */
function shown(value: unknown): string {
  return typeof value === "bigint" ? String(value) : JSON.stringify(value);
}
