import { createHash } from "node:crypto";
import type { KeyPointSpec } from "../../../conditions/spec.ts";
import { plain } from "../../../media/svg.ts";
import { choose, type Random, seededRandom } from "../../../support/random.ts";
import type { ImageSize, Rgb } from "../../dataset.ts";
import { installedVersion } from "../../licenses.ts";
import type { Recipe } from "../../recipe.ts";
import { HAND_JOINTS, HAND_PACKAGE, handModel, PARENTS } from "./model.ts";
import { drawPose, type HandPose, jointMotions } from "./pose.ts";
import { type HandLook, type HandView, keyPointsOf, type PosedHand, placeHand, renderHand } from "./render.ts";

/** Raise it whenever the pixels of a hand change. */
const VERSION = 1;
/** Pictures of one pose, each from somewhere else and in a look of its own. */
const VIEWS = 4;

/** The key points of a hand. */
export const HAND_POINTS: KeyPointSpec = {
  kind: "keypoints",
  points: HAND_JOINTS,
  bones: PARENTS.map((parent, joint) => [parent, joint] as const).slice(1),
};

/** What the key points leave open: looks are drawn from these, independently and each entry equally likely. */
export const HAND_PALETTES: { readonly skin: readonly Rgb[]; readonly background: readonly Rgb[] } = {
  skin: [
    [255, 224, 200],
    [247, 208, 178],
    [233, 186, 150],
    [214, 160, 120],
    [190, 132, 92],
    [160, 106, 72],
    [126, 82, 56],
    [96, 62, 44],
  ],
  background: [
    [240, 240, 236],
    [178, 204, 226],
    [122, 160, 198],
    [190, 214, 172],
    [110, 150, 110],
    [240, 214, 140],
    [210, 150, 170],
    [140, 120, 170],
    [90, 96, 110],
    [40, 44, 56],
  ],
};

export interface HandsRequest {
  readonly size: ImageSize;
  readonly count: number;
  readonly seed: number;
}

/** How the `hands` pairs are drawn. Hand number `i` depends on the seed and on `i` alone. */
export function handsRecipe({ size, count, seed }: HandsRequest): Recipe {
  const version = installedVersion(HAND_PACKAGE);
  return {
    name: "hands",
    condition: HAND_POINTS,
    facts: { group: poseOfPair },
    parts: { version: VERSION, assets: version, size, count, seed },
    licenses: [
      {
        package: HAND_PACKAGE,
        version,
        author: "Amazon and the Immersive Web Community Group",
        license: "MIT",
        url: "https://github.com/immersive-web/webxr-input-profiles",
      },
    ],
    prepare() {
      const entries = Array.from({ length: count }, (_, index) => ({
        id: `hand-${seed}-${index}`,
        validation: isPoseHeldOut(poseOf(seed, index)),
      }));
      const draw = async (index: number) => {
        const hand = await handOf(seed, index);
        const { image, depth } = renderHand(hand, drawLook(seededRandom("hand look", seed, index)), size);
        return { image, condition: keyPointsOf(hand, depth) };
      };
      return { entries, draw };
    },
  };
}

/** What the views of one hand have in common, by an id such as `hand-0-17`. */
function poseOfPair(id: string): string {
  const [, seed, index] = /^hand-(-?\d+)-(\d+)$/.exec(id)!;
  return `hand-${seed}-${Math.floor(Number(index) / VIEWS)}`;
}

function poseOf(seed: number, index: number): HandPose {
  return drawPose(seededRandom("hand pose", seed, Math.floor(index / VIEWS)));
}

async function handOf(seed: number, index: number): Promise<PosedHand> {
  const pose = poseOf(seed, index);
  const model = await handModel(pose.side);
  return placeHand(model, jointMotions(model, pose), drawView(seededRandom("hand view", seed, index)));
}

/** One pose in ten, with all its views: by the SHA-256 of its angles in degrees. */
function isPoseHeldOut({ side, fingers }: HandPose): boolean {
  const degrees = fingers.flatMap(({ bend, spread }) =>
    [...bend, spread].map((angle) => Math.round((angle * 180) / Math.PI)),
  );
  return (
    createHash("sha256")
      .update(JSON.stringify([side, degrees]))
      .digest()
      .readUInt32LE(0) %
      10 ===
    0
  );
}

/** Fingers up, palm or back to the camera, turned and tilted. */
function drawView(random: Random): HandView {
  const within = (angle: number) => ((2 * random() - 1) * angle * Math.PI) / 180;
  return {
    yaw: within(55) + (random() < 0.5 ? 0 : Math.PI),
    pitch: within(25),
    roll: within(40),
    extent: 0.72 + 0.2 * random(),
    place: [random(), random()],
  };
}

/** A look from {@link HAND_PALETTES}, lit from above and from the camera's side. */
export function drawLook(random: Random): HandLook {
  return {
    skin: choose(HAND_PALETTES.skin, random),
    background: choose(HAND_PALETTES.background, random),
    light: [2 * random() - 1, -0.3 - 0.7 * random(), -0.6 - 0.4 * random()],
  };
}

/**
 * Draws true images of one hand, each in a look drawn anew: samples of the distribution that the key points leave open.
 *
 * @param id of a pair of the data set, such as `hand-0-17`
 * @returns RGB bytes `[count, size, size, 3]`
 * @throws RangeError for an id that is none
 */
export async function relightHand(id: string, count: number, size: ImageSize, random: Random): Promise<Uint8Array> {
  const [, seed, index] = /^hand-(-?\d+)-(\d+)$/.exec(id) ?? [];
  if (seed === undefined || index === undefined) {
    throw new RangeError(`relightHand("${id}"): expected an id of the data set hands, such as "hand-0-17".`);
  }
  const hand = await handOf(Number(seed), Number(index));
  return plain(Buffer.concat(Array.from({ length: count }, () => renderHand(hand, drawLook(random), size).image)));
}
