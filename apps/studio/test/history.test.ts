import { expect, test } from "vitest";
import { FRESH } from "../src/drawing/source.ts";
import { History, type State } from "../src/history.ts";

const state = (...condition: number[]): State => ({ condition: Uint8Array.from(condition), source: FRESH });

test("of more steps than are kept the oldest are forgotten, and an undo takes the newest back", () => {
  const history = new History(state(0, 0));
  const states = Array.from({ length: 203 }, (_, i) => state(i, 1));
  for (const each of states) history.push(each);
  const kept = states.slice(2);
  expect(kept.slice(1).map(() => history.undo())).toEqual(kept.slice(0, -1).reverse());
  expect([history.canUndo, history.undo(), history.now]).toEqual([false, undefined, kept[0]]);
  expect(kept.slice(1).map(() => history.redo())).toEqual(kept.slice(1));
  expect([history.canRedo, history.redo()]).toEqual([false, undefined]);
});

test("what changes nothing is no step, and leaves what was undone", () => {
  const history = new History(state(1, 2));
  history.push(state(1, 3));
  history.undo();
  expect([history.push(state(1, 2)), history.canUndo, history.canRedo]).toEqual([false, false, true]);
  const like = { kind: "like", seed: 1, sample: 0, distance: 0.1 } as const;
  expect([history.push({ ...history.now, source: like }), history.canRedo]).toEqual([true, false]);
});
