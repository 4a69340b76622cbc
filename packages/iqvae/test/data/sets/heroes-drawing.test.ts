import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HERO_GROUND, HERO_POINTS } from "../../../src/data/index.ts";
import { drawHero, drawParts, imageOfSize, mapOfSize, SIDE } from "../../../src/data/sets/heroes/draw.ts";
import { parseDrawingOrder, parseFrames } from "../../../src/data/sets/heroes/formats.ts";
import { keyPointsOfHero } from "../../../src/data/sets/heroes/key-points.ts";
import { heldOutPoses } from "../../../src/data/sets/heroes/split.ts";
import { seededRandom } from "../../../src/support/random.ts";

describe("Flare's formats", () => {
  it("frames are read by animation, index and direction, with Windows' line ends too", () => {
    const text =
      "image=images/a.png\n# frame=9\n[run]\nframes=1\nframe=0,3,1,2,30,40,-5,6\n\n[die]\nframe=0,3,7,8,1,1,0,0\n";
    for (const written of [text, text.replaceAll("\n", "\r\n")]) {
      const { image, frames } = parseFrames(written, "a.txt");
      expect(image).toBe("images/a.png");
      expect([...frames.keys()]).toEqual(["run/0/3", "die/0/3"]);
      expect(frames.get("run/0/3")).toEqual({ x: 1, y: 2, width: 30, height: 40, originX: -5, originY: 6 });
    }
  });

  it.each([
    ["frame=0,0,0,0,1,1,0,0", "a.txt: expected an image= line and frame= lines."],
    ["image=a.png", "a.txt: expected an image= line and frame= lines."],
    ...["0,0,0,0,1,1,0", "0,0,0,-1,1,1,0,0", "0,0,0,0,1,1,0,x", "0,0,0,0,1,1.5,0,0"].map((frame) => [
      `image=a.png\nframe=${frame}`,
      `a.txt: expected frame= and eight whole numbers, the first six not negative, got "frame=${frame}".`,
    ]),
  ])("refuses %j", (text, message) => {
    expect(() => parseFrames(text!, "a.txt")).toThrow(message);
  });

  it("the order of layers is read without what a hero holds, and must be whole", () => {
    const lines = Array.from({ length: 8 }, (_, i) => (i % 2 ? `layer=${i},off,b,a,main` : `layer=${i},a,main,b`));
    expect(parseDrawingOrder(lines.join("\n"), ["a", "b"]).slice(0, 2)).toEqual([
      ["a", "b"],
      ["b", "a"],
    ]);
    const message = 'hero_layers.txt: expected a line layer=7 with a, b, got "';
    expect(() => parseDrawingOrder(lines.slice(0, 7).join("\n"), ["a", "b"])).toThrow(`${message}".`);
    for (const bad of ["a", "a,a", "a,b,b"]) {
      expect(() => parseDrawingOrder([...lines.slice(0, 7), `layer=7,${bad}`].join("\n"), ["a", "b"])).toThrow(
        `${message}${bad}".`,
      );
    }
  });
});

describe("drawing a hero", () => {
  const dot = (rgba: readonly number[], originX: number, originY: number) => ({
    pixels: Uint8Array.from(rgba),
    width: 1,
    frames: new Map([["run/0/0", { x: 0, y: 0, width: 1, height: 1, originX, originY }]]),
  });
  const at = (x: number, y: number) => y * SIDE + x;

  it("anchors layers at (32, 54), covers by opacity, in order, and cuts off what is outside", () => {
    const dots = [dot([0, 0, 0, 255], 0, 0), dot([255, 255, 255, 51], 0, 0), dot([9, 9, 9, 255], 40, 0)];
    const picture = drawHero(
      dots.map((layer) => ({ part: "feet", layer })),
      "run/0/0",
    );
    for (let pixel = 0; pixel < SIDE * SIDE; pixel++) {
      const expected = pixel === at(32, 54) ? [51, 51, 51] : HERO_GROUND;
      expect([...picture.subarray(3 * pixel, 3 * pixel + 3)], `pixel ${pixel}`).toEqual([...expected]);
    }
  });

  it("takes for a part what is opaque, the layer drawn last in front", () => {
    const layers = [
      { part: "feet" as const, layer: dot([0, 0, 0, 160], 0, 0) },
      { part: "legs" as const, layer: dot([0, 0, 0, 159], 0, 0) },
      { part: "chest" as const, layer: dot([0, 0, 0, 255], 2, 1) },
      { part: "head" as const, layer: dot([0, 0, 0, 255], 2, 1) },
    ];
    const map = drawParts(layers, "run/0/0");
    expect([map[at(32, 54)], map[at(30, 53)]]).toEqual([1, 5]);
    expect(map.filter((label) => label > 0).length).toBe(2);
    expect(() => drawHero([{ part: "feet", layer: dot([0, 0, 0, 0], 0, 0) }], "run/0/1")).toThrow(
      "heroes: a layer has no drawing of the pose run/0/1.",
    );
  });

  it("enlarged pictures and maps shrink back to what they were; smaller maps have the class of most pixels", () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const random = seededRandom(seed);
        const map = Uint8Array.from({ length: SIDE * SIDE }, () => Math.floor(random() * 6));
        const large = mapOfSize(map, 128);
        expect(map.every((label, i) => large[2 * Math.floor(i / 64) * 128 + 2 * (i % 64)] === label)).toBe(true);
        expect(mapOfSize(map, 64)).toEqual(map);
        const small = mapOfSize(map, 32);
        for (let i = 0; i < small.length; i++) {
          const corner = 2 * Math.floor(i / 32) * 64 + 2 * (i % 32);
          const block = [0, 1, 64, 65].map((step) => map[corner + step]!);
          const count = (label: number) => block.filter((one) => one === label).length;
          const most = Math.max(...block.map(count));
          expect(small[i]).toBe(Math.max(...block.filter((label) => count(label) === most)));
        }
      }),
      { numRuns: 10 },
    );
    const picture = Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, i) => (i * 7) % 256);
    const large = imageOfSize(picture, 128);
    expect([...large.subarray(3 * (128 * 5 + 9), 3 * (128 * 5 + 9) + 3)]).toEqual([
      ...picture.subarray(3 * (64 * 2 + 4), 3 * (64 * 2 + 4) + 3),
    ]);
    expect(imageOfSize(picture, 32).length).toBe(32 * 32 * 3);
  });
});

describe("key points", () => {
  const mapOf = (...boxes: readonly (readonly [label: number, x: number, y: number, w: number, h: number])[]) => {
    const map = new Uint8Array(SIDE * SIDE);
    for (const [label, x, y, w, h] of boxes) {
      for (let row = y; row < y + h; row++) map.fill(label, row * SIDE + x, row * SIDE + x + w);
    }
    return map;
  };
  const points = (map: Uint8Array) => {
    const bytes = keyPointsOfHero(map);
    return Object.fromEntries(HERO_POINTS.points.map((name, i) => [name, [...bytes.subarray(3 * i, 3 * i + 3)]]));
  };
  const byte = (pixel: number) => Math.round(((pixel + 0.5) / SIDE) * 255);
  const [FEET, LEGS, HANDS, CHEST, HEAD] = [1, 2, 3, 4, 5];
  const trunk = [
    [HEAD!, 30, 10, 5, 5],
    [CHEST!, 28, 16, 9, 11],
    [LEGS!, 28, 28, 9, 5],
  ] as const;

  it("are middles of head, chest and hips, and the far ends of limbs", () => {
    const map = mapOf(
      ...trunk,
      [HANDS!, 38, 20, 1, 13],
      [HANDS!, 20, 21, 7, 1],
      [FEET!, 28, 34, 1, 9],
      [FEET!, 36, 34, 1, 9],
    );
    expect(points(map)).toEqual({
      head: [byte(32), byte(12), 1],
      chest: [byte(32), byte(21), 1],
      hips: [byte(32), byte(30), 1],
      "left-hand": [byte(20), byte(21), 1],
      "right-hand": [byte(38), byte(32), 1],
      "left-foot": [byte(28), byte(42), 1],
      "right-foot": [byte(36), byte(42), 1],
    });
  });

  it("are hidden where nothing is seen, or too little; a single limb is on its side", () => {
    const map = mapOf(...trunk, [HANDS!, 38, 20, 1, 13], [HANDS!, 20, 21, 3, 1], [FEET!, 28, 34, 1, 9]);
    expect(points(map)).toMatchObject({
      "left-hand": [0, 0, 0],
      "right-hand": [byte(38), byte(32), 1],
      "left-foot": [byte(28), byte(42), 1],
      "right-foot": [0, 0, 0],
    });
    expect(keyPointsOfHero(new Uint8Array(SIDE * SIDE)).every((value) => value === 0)).toBe(true);
  });

  it("move with the person", () => {
    fc.assert(
      fc.property(fc.integer({ min: -15, max: 15 }), fc.integer({ min: -9, max: 15 }), (dx, dy) => {
        const boxes = [...trunk, [HANDS!, 38, 20, 2, 13], [FEET!, 29, 34, 2, 9]] as const;
        const moved = points(mapOf(...boxes.map(([label, x, y, w, h]) => [label, x + dx, y + dy, w, h] as const)));
        for (const [name, [x, y, seen]] of Object.entries(points(mapOf(...boxes)))) {
          const [movedX, movedY, movedSeen] = moved[name]!;
          expect(movedSeen).toBe(seen);
          if (seen === 0) continue;
          expect(Math.abs(movedX! - x! - (dx * 255) / 64)).toBeLessThanOrEqual(1);
          expect(Math.abs(movedY! - y! - (dy * 255) / 64)).toBeLessThanOrEqual(1);
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe("held-out poses", () => {
  /** A bar of 20 pixels from `x` on. */
  const bar = (x: number) => new Uint8Array(SIDE * SIDE).fill(1, x, x + 20);
  /** Which of the bars have company: those that are always on one side, whatever the name of the animation is. */
  const together = (places: readonly (readonly number[])[], direction = (_: number) => 0) => {
    const sides = Array.from({ length: 60 }, (_, name) => {
      const poses = places.map((bars, i) => [`a${name}/${i}/${direction(i)}`, bars.map(bar)] as const);
      const heldOut = heldOutPoses(new Map(poses));
      return poses.map(([pose]) => heldOut.has(pose));
    });
    return places.map((_, i) => places.map((_, j) => sides.every((side) => side[i] === side[j])));
  };

  it("keep a chain of like poses together, and like poses of one body, but not poses of two directions", () => {
    // Bars moved by 3 overlap by 17/23 = 0.74, by 4 by 16/24 = 0.67.
    expect(together([[0], [6], [3]])).toEqual([
      [true, true, true],
      [true, true, true],
      [true, true, true],
    ]);
    expect(together([[0], [4]])[0]).toEqual([true, false]);
    expect(
      together([
        [0, 0],
        [40, 3],
      ])[0],
    ).toEqual([true, true]);
    expect(together([[0], [0]], (i) => i)[0]).toEqual([true, false]);
  });

  it("are about one cluster in six, whatever the order of poses", () => {
    const poses = Array.from({ length: 480 }, (_, i) => [`run/${i}/${i % 8}`, [bar((i >> 3) * 26)]] as const);
    const heldOut = heldOutPoses(new Map(poses));
    expect(heldOut.size).toBeGreaterThan(50);
    expect(heldOut.size).toBeLessThan(110);
    expect(heldOutPoses(new Map([...poses].reverse()))).toEqual(heldOut);
  });
});
