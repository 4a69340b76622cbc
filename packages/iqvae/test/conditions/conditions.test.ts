import { grad, ops, scope, tensor } from "@iqvae/torch";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { conditionFor, layoutBytes, textBytes, textOf } from "../../src/conditions/index.ts";
import { conditionContract } from "./contract.ts";

const SIZE = 32;
const pixels = (most: number) => fc.uint8Array({ minLength: SIZE ** 2, maxLength: SIZE ** 2, max: most });
const one = (length: number, at: number, value: number) => {
  const sample = new Uint8Array(length);
  sample[at] = value;
  return sample;
};

const CLASSES = [
  { name: "ground", color: [240, 240, 240] },
  { name: "square", color: [200, 30, 30] },
  { name: "disc", color: [30, 30, 200] },
] as const;

conditionContract({
  name: "semantic map",
  spec: { kind: "semantic", classes: CLASSES },
  size: SIZE,
  samples: pixels(2),
  wrong: [
    { sample: one(SIZE ** 2, 5, 3), message: 'pixel 5 holds 3, but a condition of kind "semantic" holds 0 to 2.' },
  ],
  ignorance: () => Math.log(3),
});

for (const kind of ["lines", "edges"] as const) {
  conditionContract({
    name: kind,
    spec: { kind },
    size: SIZE,
    samples: pixels(1),
    wrong: [
      { sample: one(SIZE ** 2, 9, 2), message: `pixel 9 holds 2, but a condition of kind "${kind}" holds 0 to 1.` },
    ],
    ignorance: () => Math.LN2,
  });
}

test("lines: the loss and its gradient are libtorch's binary cross-entropy, however sure the logits", () => {
  scope(() => {
    const { loss } = conditionFor({ kind: "lines" }, SIZE);
    const drawing = ops.aten
      .arange(2 * SIZE ** 2)
      .remainder(3)
      .eq(0)
      .to("uint8")
      .reshape([2, SIZE, SIZE]);
    const logits = ops.aten
      .linspace(-40, 40, 2 * SIZE ** 2)
      .reshape([2, 1, SIZE, SIZE])
      .detach();
    logits.requiresGrad = true;
    const expected = ops.aten.binary_cross_entropy_with_logits(logits.squeeze(1), drawing.to("float32"));
    const given = loss(logits, drawing);
    expect(given.item()).toBeCloseTo(expected.item(), 5);
    const [a, b] = [given, expected].map((each) => grad([each], [logits])[0]!);
    expect(a!.sub(b!).abs().max().item()).toBeLessThan(1e-8);
  });
});

const POINTS = {
  kind: "keypoints",
  points: ["head", "hand", "foot", "tail"],
  bones: [
    [0, 1],
    [1, 2],
  ],
} as const;
const point = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.nat(255), fc.nat(255), fc.constant(1)) },
  { weight: 1, arbitrary: fc.constant([0, 0, 0]) },
);
const visible = (sample: Uint8Array) => sample.filter((_, i) => i % 3 === 2).reduce((a, b) => a + b, 0);

conditionContract({
  name: "key points",
  spec: POINTS,
  size: SIZE,
  // Away from the border, where bumps are whole and their energy is known.
  samples: fc
    .array(
      fc.oneof(
        fc.tuple(fc.integer({ min: 40, max: 215 }), fc.integer({ min: 40, max: 215 }), fc.constant(1)),
        fc.constant([0, 0, 0]),
      ),
      { minLength: 4, maxLength: 4 },
    )
    .map((rows) => Uint8Array.from(rows.flat())),
  wrong: [
    {
      sample: one(12, 2, 2),
      message: "point 0 (head) is [0, 0, 2], but a point is [x, y, 1], or [0, 0, 0] when it is hidden.",
    },
    { sample: one(12, 9, 7), message: "point 3 (tail) is [7, 0, 0], but a point is [x, y, 1]" },
  ],
  ignorance: (samples) => samples.reduce((sum, sample) => sum + visible(sample), 0) / (4 * samples.length),
});

const LAYOUT = { kind: "layout", classes: CLASSES, boxes: 4 } as const;
/** Boxes whose centers lie apart: one in each quarter of the picture. */
const boxes = fc
  .subarray([0, 1, 2, 3])
  .chain((quarters) =>
    fc.tuple(
      ...quarters.map((quarter) =>
        fc.record({
          label: fc.nat(2),
          left: fc.integer({ min: 20, max: 60 }).map((x) => x + (quarter % 2) * 90),
          top: fc.integer({ min: 20, max: 60 }).map((y) => y + (quarter >> 1) * 90),
          width: fc.integer({ min: 20, max: 60 }),
          height: fc.integer({ min: 20, max: 60 }),
        }),
      ),
    ),
  )
  .map((rows) => layoutBytes(rows, LAYOUT));

conditionContract({
  name: "layout",
  spec: LAYOUT,
  size: SIZE,
  samples: boxes,
  wrong: [
    {
      sample: Uint8Array.of(4, 1, 1, 5, 5, ...new Uint8Array(15)),
      message: "box 0 has the class 4, but there are 3, numbered from 1",
    },
    {
      sample: Uint8Array.of(1, 250, 1, 6, 5, ...new Uint8Array(15)),
      message: "box 0 is [1, 250, 1, 6, 5], but a box is [class + 1",
    },
    { sample: one(20, 6, 1), message: "box 1 is [0, 1, 0, 0, 0], but a box is" },
  ],
  ignorance: (samples) => {
    // One for each box, and four times the mean of widths and heights near the centers.
    return emptyLayoutLoss(samples);
  },
});

/** By hand: heat maps miss each bump once; each box weighs as much of the extents' error as its bump has area. */
function emptyLayoutLoss(samples: readonly Uint8Array[]): number {
  const rows = samples.flatMap((sample) => Array.from({ length: 4 }, (_, n) => sample.subarray(5 * n, 5 * n + 5)));
  const present = rows.filter((row) => row[0]! > 0);
  if (present.length === 0) return 0;
  const extents = present.reduce((sum, row) => sum + row[3]! + row[4]!, 0) / 255 / (2 * present.length);
  return 1 + 4 * extents;
}

const LETTERS = { kind: "text", length: 16 } as const;
conditionContract({
  name: "text",
  spec: LETTERS,
  size: SIZE,
  samples: fc
    .oneof(fc.stringMatching(/^[a-z][a-z ]{0,14}$/), fc.string({ minLength: 1, maxLength: 4, unit: "grapheme" }))
    .filter(
      (sentence) =>
        sentence.trim() !== "" &&
        !sentence.includes("\0") &&
        !sentence.includes("\n") &&
        new TextEncoder().encode(sentence).length <= 16,
    )
    .map((sentence) => textBytes(sentence, LETTERS)),
  wrong: [
    { sample: one(16, 3, 65), message: "byte 3 holds 65, but a text ends at its first 0, and that is byte 0." },
    { sample: one(16, 0, 0xff), message: "the bytes [255] are not UTF-8 text; make them with textBytes." },
  ],
  ignorance: () => Math.log(256),
});

conditionContract({
  name: "audio",
  spec: { kind: "audio", bands: 8, frames: 24 },
  size: SIZE,
  samples: fc.uint8Array({ minLength: 192, maxLength: 192 }),
  wrong: [],
  ignorance: (samples) => {
    const levels = samples.flatMap((sample) => [...sample].map((level) => level / 127.5 - 1));
    return levels.reduce((sum, level) => sum + level ** 2, 0) / levels.length;
  },
});

describe("key points", () => {
  const condition = conditionFor(POINTS, SIZE);

  test("at the very border come back too", async () => {
    const { tensor } = await import("@iqvae/torch");
    fc.assert(
      fc.property(fc.array(point, { minLength: 4, maxLength: 4 }), (rows) => {
        const sample = Uint8Array.from(rows.flat());
        const back = condition.fromLogits(condition.toLogits(tensor(sample, { shape: [1, 4, 3] })));
        expect([...back.contiguous().read("uint8")]).toEqual([...sample]);
      }),
      { numRuns: 100 },
    );
  });

  test.each([
    [0.32, 1],
    [0.28, 0],
  ])("a bump of height %f counts as %i point", (height, count) => {
    scope(() => {
      const near = tensor(Uint8Array.of(131, 131, 1, ...Array(9).fill(0)), { shape: [1, 4, 3] });
      const back = condition.fromLogits(condition.toLogits(near).mul(height));
      expect([...back.contiguous().read("uint8")]).toEqual([...near.mul(count).read("uint8")]);
    });
  });

  test("fidelity by hand", () => {
    const truth = Uint8Array.of(0, 0, 1, 100, 100, 1, 50, 50, 1, 0, 0, 0);
    const guess = Uint8Array.of(0, 51, 1, 103, 104, 1, 0, 0, 0, 0, 0, 0);
    const { visibility, closeness, found } = condition.fidelity(truth, guess);
    expect(visibility).toBe(3 / 4);
    expect(closeness).toBeCloseTo(1 - (51 + 5) / 255 / 2, 9);
    expect(found).toBeCloseTo(1 / 3, 9);
  });
});

describe("layout", () => {
  const condition = conditionFor(LAYOUT, SIZE);
  const bytes = (...rows: [number, number, number, number, number][]) =>
    layoutBytes(
      rows.map(([label, left, top, width, height]) => ({ label, left, top, width, height })),
      LAYOUT,
    );

  test("fidelity by hand: overlaps of equal classes over the larger number of boxes", () => {
    const truth = bytes([0, 0, 0, 100, 100], [1, 0, 0, 50, 50]);
    const guess = bytes([0, 50, 0, 100, 100], [2, 0, 0, 50, 50], [1, 0, 0, 50, 40]);
    const { agreement, found, f1 } = condition.fidelity(truth, guess);
    expect(agreement).toBeCloseTo((1 / 3 + 0.8) / 3, 9);
    expect(found).toBe(1 / 2);
    expect(f1).toBe(2 / 5);
    expect(condition.fidelity(bytes(), bytes())).toEqual({ agreement: 1, found: 1, f1: 1 });
    expect(condition.fidelity(bytes(), guess).f1).toBe(0);
  });

  test("has the same planes with and without libtorch to the bit, for a box whose rounding shows", () => {
    const boxes = Uint8Array.from([1, 20, 20, 20, 20, 1, 110, 110, 20, 20, 1, 56, 120, 23, 21, 0, 0, 0, 0, 0]);
    scope(() => {
      const planes = condition.toPlanes(tensor(boxes, { shape: [1, 4, 5] }));
      expect([...condition.planesOf(boxes)]).toEqual([...planes.permute([0, 2, 3, 1]).contiguous().read("float32")]);
    });
  });

  test("orders boxes by class, then from top to bottom", () => {
    const sorted = bytes([1, 5, 5, 9, 9], [0, 9, 9, 9, 9], [0, 30, 2, 9, 9]);
    expect([...sorted]).toEqual([1, 30, 2, 9, 9, 1, 9, 9, 9, 9, 2, 5, 5, 9, 9, 0, 0, 0, 0, 0]);
  });

  test("refuses more boxes than there is room for", () => {
    const box: [number, number, number, number, number] = [0, 0, 0, 9, 9];
    expect(() => bytes(box, box, box, box, box)).toThrow(
      "layoutBytes: 5 boxes came, but a layout of this data set has 4 at most.",
    );
  });

  test("refuses boxes that bytes cannot hold, and does not take them for others", () => {
    expect(() => bytes([256, 0, 0, 9, 9])).toThrow("box 0 has the class 257, but there are");
    for (const row of [
      [0, 256, 0, 9, 9],
      [0, -1, 0, 9, 9],
      [0, 0, 300, 9, 9],
      [0, 0, 0, 257, 9],
    ] as const)
      expect(() => bytes([...row])).toThrow(`box 0 is [1, ${row.slice(1).join(", ")}], but a box is [class + 1`);
    const most = { ...LAYOUT, classes: Array.from({ length: 256 }, () => LAYOUT.classes[0]!) };
    expect(() => layoutBytes([{ label: 255, left: 0, top: 0, width: 9, height: 9 }], most)).toThrow("box 0 is [256, 0");
  });
});

describe("text", () => {
  test("goes to bytes and back, and what cannot is refused", () => {
    expect(textOf(textBytes("größer", LETTERS))).toBe("größer");
    expect(() => textBytes("a text of too many bytes", LETTERS)).toThrow(
      'the text "a text of too many bytes" has 24 bytes, but 16 is the most here; shorten it.',
    );
    for (const nothing of ["", " ", "\n\t "]) {
      expect(() => textBytes(nothing, LETTERS)).toThrow("the text must not be empty or contain a null character.");
    }
    expect(textOf(textBytes("\ufeff \ta cat,  a dog\r\n", LETTERS))).toBe("a cat,  a dog");
    expect(textOf(textBytes("GRÖSSER", { ...LETTERS, lowercase: true }))).toBe("grösser");
    expect(textOf(textBytes("GRÖSSER", LETTERS))).toBe("GRÖSSER");
    expect(() => textBytes("İİİİİİİİ", { ...LETTERS, lowercase: true })).toThrow("24 bytes, but 16 is the most");
  });
});

describe("fidelity of maps and drawings, by hand", () => {
  test("mean intersection over union, and F1", () => {
    const [truth, guess] = [new Uint8Array(SIZE ** 2), new Uint8Array(SIZE ** 2)];
    truth.fill(1, 0, 512);
    guess.fill(1, 256, 512);
    const map = conditionFor({ kind: "semantic", classes: CLASSES }, SIZE).fidelity(truth, guess);
    expect(map.accuracy).toBe(0.75);
    expect(map.mapIou).toBeCloseTo((512 / 768 + 256 / 512) / 2, 9);
    expect(conditionFor({ kind: "edges" }, SIZE).fidelity(truth, guess).f1).toBeCloseTo(512 / 768, 9);
  });
});
