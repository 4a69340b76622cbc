import type { Tensor } from "@iqvae/torch";
import type { Transformer } from "../models/transformer.ts";
import type { TokenSampler } from "./options.ts";
import { samplerOf } from "./sampler.ts";
import { integers } from "./tokens.ts";

/** A grid of tokens, in raster order. */
export interface Grid {
  readonly rows: number;
  readonly columns: number;
}

/** The grids of a condition and of its image, which show the same area. */
export interface Grids {
  readonly condition: Grid;
  readonly image: Grid;
}

/**
 * Samples larger grids than the model was trained on, as taming-transformers does (Esser et al. 2021, section 3.2): each token
 * is predicted from a window of the trained size around it, cut from the condition and from what is drawn so far. The window
 * stays inside the grid; in one of the trained size it never moves, and the tokens are those of the other samplers.
 *
 * Every token runs a whole window anew, since keys and values hold places within the window.
 *
 * @param trained the grids that the model was trained on
 * @param wanted the grids to draw, at least as large
 * @throws RangeError when the grids do not fit the model or one another
 */
export function slidingSampler(model: Transformer, trained: Grids, wanted: Grids): TokenSampler {
  checkGrids(model, trained, wanted);
  const shape = { conditionTokens: area(wanted.condition), imageTokens: area(wanted.image) };
  return samplerOf(model, shape, () => (conditions, of) => {
    const own = conditions.index_select(0, of); // [B, conditionTokens of the large grid]
    const logits = (t: number, _: unknown, before: Tensor) => {
      const { image, condition, local } = windowAt(t, trained, wanted);
      const seen = select(own, 1, cells(condition, trained.condition, wanted.condition));
      // Those before t in the window are before t in the whole grid, too: they are drawn already.
      const drawn = select(before, 1, cells(image, trained.image, wanted.image).slice(0, local));
      return model.forward(seen, drawn).select(1, local).to("float32");
    };
    return { logits };
  });
}

/** Where a window begins. */
interface Corner {
  readonly top: number;
  readonly left: number;
}

/** The window around token `t` of the wanted grid, and the token's place in it. */
function windowAt(t: number, trained: Grids, wanted: Grids): { image: Corner; condition: Corner; local: number } {
  const [row, column] = [Math.floor(t / wanted.image.columns), t % wanted.image.columns];
  const { rows, columns } = trained.image;
  const image = {
    top: startOf(row, rows, wanted.image.rows),
    left: startOf(column, columns, wanted.image.columns),
  };
  const condition = {
    top: Math.round((image.top * trained.condition.rows) / rows),
    left: Math.round((image.left * trained.condition.columns) / columns),
  };
  return { image, condition, local: (row - image.top) * columns + column - image.left };
}

/** The window's first row (or column): the token in its middle, unless that leads over an edge. */
function startOf(place: number, window: number, whole: number): number {
  return Math.min(Math.max(place - Math.floor(window / 2), 0), whole - window);
}

/** The numbers, in the whole grid, of the cells of a window. */
function cells({ top, left }: Corner, window: Grid, whole: Grid): number[] {
  return Array.from({ length: area(window) }, (_, i) => {
    const [row, column] = [Math.floor(i / window.columns), i % window.columns];
    return (top + row) * whole.columns + left + column;
  });
}

function select(tokens: Tensor, dimension: number, places: readonly number[]): Tensor {
  return places.length === 0
    ? tokens.slice(dimension, 0, 0)
    : tokens.index_select(dimension, integers(places, tokens.device));
}

function area({ rows, columns }: Grid): number {
  return rows * columns;
}

function checkGrids(model: Transformer, trained: Grids, wanted: Grids): void {
  const { conditionTokens, imageTokens } = model.tokens;
  if (area(trained.condition) !== conditionTokens || area(trained.image) !== imageTokens)
    throw new RangeError(
      `slidingSampler: the trained grids have ${area(trained.condition)} and ${area(trained.image)} tokens, but the model ` +
        `has ${conditionTokens} of a condition and ${imageTokens} of an image`,
    );
  for (const side of ["rows", "columns"] as const) {
    const [from, to] = [trained.image[side], wanted.image[side]];
    if (!Number.isInteger(to) || to < from)
      throw new RangeError(`slidingSampler draws ${side} of at least the trained ${from} tokens, but ${to} are wanted`);
    if (wanted.condition[side] * from !== to * trained.condition[side])
      throw new RangeError(
        `slidingSampler: image and condition must grow alike, but ${side} grow from ${from} to ${to} tokens and from ` +
          `${trained.condition[side]} to ${wanted.condition[side]}`,
      );
  }
}
