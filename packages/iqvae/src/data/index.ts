export { batchTensors } from "./batch-tensors.ts";
export { HAND_DRAWN, withHandDrawn } from "./by-hand/hand-drawn.ts";
export { cacheFolder } from "./cache-folder.ts";
export { conditionSpec, type DataConfig, dataSchema } from "./config.ts";
export { dataContactSheet } from "./contact-sheet.ts";
export type {
  ConditionSpec,
  ImageSize,
  PairBatch,
  PairDataset,
  PairSplit,
  Rgb,
  SemanticClass,
} from "./dataset.ts";
export { expectBothParts, IMAGE_SIZES } from "./dataset.ts";
export type { OpenModes, OpenTrait, OpenTraits, PairFacts } from "./facts.ts";
export { type HeldOutPart, heldOutPart, SCORED_PARTS, type ScoredPart, spreadRows } from "./held-out.ts";
export { describeImport, type ImportReport, type ProblemKind, type ProblemSummary } from "./import/problems.ts";
export { IMPORTS, type ImportRequest, importSchema, isImport } from "./import/requests.ts";
export { importedCondition } from "./import/specs.ts";
export type { License } from "./licenses.ts";
export { epochOrder, Loader, type LoaderState } from "./loader.ts";
export {
  DATASETS,
  type OpenBuiltIn,
  type OpenEmoji,
  type OpenFaces,
  type OpenHands,
  type OpenHeroes,
  type OpenImport,
  type OpenPhotographs,
  type OpenRequest,
  type OpenScenes,
  type OpenSpeech,
  type OpenWords,
  openDataset,
} from "./open.ts";
export { dataPackages, sizesOf } from "./photographs.ts";
export { conditionFrom, type GivenCondition, givenKindOf, readCondition } from "./read-condition.ts";
export { CIFAR10_CLASSES } from "./sets/cifar10/recipe.ts";
export { EARTH_CLASSES } from "./sets/earth/planet.ts";
export { FACE_CLASSES } from "./sets/faces/draw.ts";
export {
  type FaceGeometry,
  type FaceSplit,
  faceGeometry,
  faceGeometryOf,
  geometryHash,
  UNSEEN_PARTS,
} from "./sets/faces/geometry.ts";
export { drawColors, FACE_PALETTES, type FaceColors, SHAVED_SHARE } from "./sets/faces/palettes.ts";
export { recolorFace, renderFace, renderFaceCondition } from "./sets/faces/recipe.ts";
export { FASHION_KINDS } from "./sets/fashion/garments.ts";
export { FASHION_LAYOUT } from "./sets/fashion/scenes.ts";
export { HAND_PALETTES, HAND_POINTS, relightHand } from "./sets/hands/recipe.ts";
export { HERO_CLASSES, HERO_GROUND } from "./sets/heroes/draw.ts";
export { HERO_POINTS } from "./sets/heroes/key-points.ts";
export { dressHero, type HeroLooks, heroLooks, heroSpec } from "./sets/heroes/recipe.ts";
export { HERO_BODIES, HERO_OUTFITS, HERO_PARTS, type HeroBody, type HeroPart } from "./sets/heroes/wardrobe.ts";
export { SCENE_CLASSES, SCENE_GROUNDS, SCENE_LAYOUT } from "./sets/scenes/recipe.ts";
export { SPEECH } from "./sets/speech/recipe.ts";
export { STAMP_CLASSES } from "./sets/stamps/cut-outs.ts";
export { STAMP_LAYOUT } from "./sets/stamps/recipe.ts";
export { CAPTION, captionsOf } from "./sets/words/captions.ts";
export { drawingsOf } from "./sets/words/drawings.ts";
export { dataLicenses, licensesOf, missingData } from "./terms.ts";
