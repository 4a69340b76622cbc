import { expect, test } from "vitest";
import { sampleTokens } from "../../src/sampling/sample.ts";

const ABSENT = 4;
const counts = { conditionCodes: 4, imageCodes: 3, conditionTokens: 1, imageTokens: 4, absent: ABSENT };
/** With the condition code 2 is the likeliest; it speaks for code 1 most, compared with no condition. */
const [WITH, WITHOUT] = [Float32Array.of(0, 1, 3), Float32Array.of(0, 0, 2.5)];

/** The likeliest tokens of one image. */
function guided(guidance: number): number[] {
  const drawing = sampleTokens(counts, [Int32Array.of(1)], { guidance, topK: 1 });
  let step = drawing.next();
  while (!step.done) {
    const { conditions, of } = step.value.sequences;
    const rows = Array.from(of, (place) => (conditions[place]![0] === ABSENT ? WITHOUT : WITH));
    step = drawing.next(Float32Array.from(rows.flatMap((row) => [...row])));
  }
  return [...step.value[0]!];
}

test("guidance of any size goes on in its direction", () => {
  expect(guided(1)).toEqual([2, 2, 2, 2]);
  for (const guidance of [10, 1e6, 1e30, 1e38, 1e300, Number.MAX_VALUE]) expect(guided(guidance)).toEqual([1, 1, 1, 1]);
});

test("the first question about very many samples comes at once; progress is that of all batches", () => {
  const many = sampleTokens(counts, [Int32Array.of(1)], { samples: 1e9 });
  expect(many.next().value).toMatchObject({ t: 0, images: { first: 0, count: 32 } });
  const shares: number[] = [];
  const onProgress = (share: number) => shares.push(share);
  const conditions = [Int32Array.of(1), Int32Array.of(2)];
  const drawing = sampleTokens(counts, conditions, { samples: 5, batch: 4, onProgress });
  const images: unknown[] = [];
  let step = drawing.next();
  while (!step.done) {
    if (step.value.t === 0) images.push(step.value.images);
    step = drawing.next(new Float32Array(3 * step.value.sequences.of.length));
  }
  expect(images).toEqual([4, 4, 2].map((count, i) => ({ first: 4 * i, count })));
  expect(shares).toEqual(Array.from({ length: 12 }, (_, i) => expect.closeTo((i + 1) / 12)));
});
