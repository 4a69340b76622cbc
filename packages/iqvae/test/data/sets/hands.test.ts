import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { HAND_PALETTES, HAND_POINTS, openDataset, relightHand } from "../../../src/data/index.ts";
import { CHAINS, HAND_JOINTS, handModel, PARENTS } from "../../../src/data/sets/hands/model.ts";
import { drawPose, type HandPose, jointMotions } from "../../../src/data/sets/hands/pose.ts";
import { compose, dot, move, rotation, subtract, turn, unit, type Vec3 } from "../../../src/data/sets/hands/vectors.ts";
import { seededRandom } from "../../../src/support/random.ts";

const distance = (a: Vec3, b: Vec3) => Math.hypot(...subtract(a, b));
const flat = (side: "left" | "right"): HandPose => ({
  side,
  fingers: CHAINS.map(() => ({ bend: [0, 0, 0], spread: 0 })),
});

describe("motions", () => {
  it("turn a quarter about z: x to y; a pivot stays where it is; composing is doing one after the other", () => {
    const quarter = rotation([0, 0, 3], Math.PI / 2);
    turn(quarter, [1, 0, 0]).forEach((value, i) => {
      expect(value).toBeCloseTo([0, 1, 0][i]!, 12);
    });
    const about = rotation([1, 2, 3], 0.7, [4, 5, 6]);
    move(about, [4, 5, 6]).forEach((value, i) => {
      expect(value).toBeCloseTo([4, 5, 6][i]!, 12);
    });
    const point: Vec3 = [0.3, -2, 1];
    expect(distance(move(compose(quarter, about), point), move(quarter, move(about, point)))).toBeLessThan(1e-12);
  });
});

describe("the hand model", () => {
  it("has 25 joints in chains, and vertices that belong to them", async () => {
    expect(HAND_JOINTS).toHaveLength(25);
    expect(HAND_POINTS.bones).toHaveLength(24);
    expect([PARENTS[0], PARENTS[1], PARENTS[2], PARENTS[5], PARENTS[9]]).toEqual([0, 0, 1, 0, 8]);
    for (const side of ["left", "right"] as const) {
      const model = await handModel(side);
      expect(model.positions.length).toBe(1360 * 3);
      expect(Math.max(...model.triangles)).toBeLessThan(1360);
      for (let v = 0; v < 1360; v++) {
        const sum = model.weights.subarray(4 * v, 4 * v + 4).reduce((a, b) => a + b);
        expect(sum).toBeCloseTo(1, 3);
      }
      // The skin is near its joints: at rest, joints and vertices share one space.
      const nearest = model.rest.map((joint) =>
        Math.min(
          ...Array.from({ length: 1360 }, (_, v) =>
            distance(joint, [...model.positions.subarray(3 * v, 3 * v + 3)] as unknown as Vec3),
          ),
        ),
      );
      expect(Math.max(...nearest)).toBeLessThan(0.03);
    }
  });
});

describe("poses", () => {
  const at = async (pose: HandPose) => {
    const model = await handModel(pose.side);
    return jointMotions(model, pose).map((motion, joint) => move(motion, model.rest[joint]!));
  };

  it("leave a flat hand at rest", async () => {
    const model = await handModel("left");
    (await at(flat("left"))).forEach((joint, i) => {
      expect(distance(joint, model.rest[i]!)).toBeLessThan(1e-9);
    });
  });

  it("keep the length of every bone", async () => {
    for (let i = 0; i < 20; i++) {
      const pose = drawPose(seededRandom("test", i));
      const { rest } = await handModel(pose.side);
      const joints = await at(pose);
      PARENTS.forEach((parent, joint) => {
        expect(distance(joints[joint]!, joints[parent]!)).toBeCloseTo(distance(rest[joint]!, rest[parent]!), 9);
      });
    }
  });

  it.each(["left", "right"] as const)("close a %s finger toward the palm, and no other finger", async (side) => {
    const { rest } = await handModel(side);
    const bent: HandPose = {
      side,
      fingers: flat(side).fingers.map((finger, i) => (i === 1 ? { bend: [1.2, 1.2, 0.8], spread: 0 } : finger)),
    };
    const joints = await at(bent);
    const tip = CHAINS[1] + 4;
    const moved = subtract(joints[tip]!, rest[tip]!);
    // The thumb of a flat hand lies in front of the palm.
    const palmSide = unit([subtract(rest[4]!, rest[0]!)[0], 0, 0]);
    expect(dot(moved, palmSide)).toBeGreaterThan(0.02);
    expect(distance(joints[tip]!, joints[0]!)).toBeLessThan(distance(rest[tip]!, rest[0]!) - 0.03);
    joints.forEach((joint, i) => {
      if (i <= CHAINS[1] || i > tip) expect(distance(joint, rest[i]!)).toBeLessThan(1e-9);
    });
  });
});

describe("the hands data set", () => {
  const open = (cacheDir: string, count: number, seed = 0) =>
    openDataset({ name: "hands", condition: "keypoints", size: 32, count, seed, cacheDir });
  const inFolder = async (body: (folder: string) => Promise<void>) => {
    const folder = await mkdtemp(join(tmpdir(), "iqvae-hands-"));
    await body(folder);
    await rm(folder, { recursive: true });
  };

  it("shows hands where their points are, in the looks that it says, and holds out whole poses", async () => {
    await inFolder(async (folder) => {
      const dataset = await open(folder, 400);
      const poses = (ids: readonly string[]) => new Set(ids.map((id) => Math.floor(Number(id.split("-")[2]) / 4)));
      const train = poses(dataset.train.ids);
      expect([...poses(dataset.validation.ids)].some((pose) => train.has(pose))).toBe(false);
      expect(dataset.validation.length).toBeGreaterThan(12);
      expect(dataset.validation.length).toBeLessThan(80);

      const { images, conditions } = dataset.train.batch([...Array(100).keys()]);
      let [visible, onHand] = [0, 0];
      for (let i = 0; i < 100; i++) {
        const image = images.subarray(i * 3072, (i + 1) * 3072);
        const corners = [0, 31, 31 * 32, 1023].map((at) => image.subarray(3 * at, 3 * at + 3).join());
        const backgrounds = HAND_PALETTES.background.map((color) => color.join());
        const background = corners.find((color) => backgrounds.includes(color));
        expect(background, `hand ${i}`).toBeDefined();
        for (let k = 0; k < 25; k++) {
          const [x, y, seen] = conditions.subarray(75 * i + 3 * k, 75 * i + 3 * k + 3);
          if (seen !== 1) continue;
          visible++;
          const at = Math.min(31, Math.floor((y! / 256) * 32)) * 32 + Math.min(31, Math.floor((x! / 256) * 32));
          onHand += Number(image.subarray(3 * at, 3 * at + 3).join() !== background);
        }
      }
      expect(visible / 2500).toBeGreaterThan(0.6);
      expect(visible / 2500).toBeLessThan(0.97);
      expect(onHand / visible).toBeGreaterThan(0.98);
      dataset.close();
    });
  });

  it("is decided by its seed, and a smaller set begins a larger one", async () => {
    await inFolder(async (folder) => {
      const [small, large, other] = [await open(folder, 8), await open(folder, 16), await open(folder, 8, 1)];
      const all = (set: typeof small) =>
        new Map([set.train, set.validation].flatMap((part) => part.ids.map((id, i) => [id, part.batch([i])] as const)));
      const [few, many] = [all(small), all(large)];
      for (const [id, pair] of few) expect(many.get(id)).toEqual(pair);
      expect([...all(other).keys()].every((id) => id.startsWith("hand-1-"))).toBe(true);
      for (const set of [small, large, other]) set.close();
    });
  });

  it("lights a hand anew without moving it", async () => {
    const images = await relightHand("hand-0-3", 2, 32, seededRandom("look"));
    expect(images.length).toBe(2 * 3072);
    expect(images.subarray(0, 3072)).not.toEqual(images.subarray(3072));
    await expect(relightHand("face-0-3", 1, 32, seededRandom("look"))).rejects.toThrow(
      'relightHand("face-0-3"): expected an id of the data set hands, such as "hand-0-17".',
    );
  });
});
