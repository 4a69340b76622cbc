export { cacheFolder } from "./cache-folder.ts";
export { contactSheet, dataContactSheet, drawCondition, type SheetRow } from "./contact-sheet.ts";
export type {
  ConditionSpec,
  ImageSize,
  PairBatch,
  PairDataset,
  PairSplit,
  Rgb,
  SemanticClass,
} from "./dataset.ts";
export { IMAGE_SIZES } from "./dataset.ts";
export { colourEdges } from "./emoji/edges.ts";
export { FACE_CLASSES } from "./faces/draw.ts";
export {
  type FaceGeometry,
  type FaceSplit,
  faceGeometry,
  faceGeometryOf,
  geometryHash,
  UNSEEN_PARTS,
} from "./faces/geometry.ts";
export { drawColours, FACE_PALETTES, type FaceColours, SHAVED_SHARE } from "./faces/palettes.ts";
export { recolourFace, renderFace, renderFaceCondition } from "./faces/recipe.ts";
export { HAND_PALETTES, HAND_POINTS, relightHand } from "./hands/recipe.ts";
export { HERO_CLASSES, HERO_GROUND } from "./heroes/draw.ts";
export { HERO_POINTS } from "./heroes/key-points.ts";
export { dressHero, type HeroLooks, heroLooks, heroSpec } from "./heroes/recipe.ts";
export { HERO_BODIES, HERO_OUTFITS, HERO_PARTS, type HeroBody, type HeroPart } from "./heroes/wardrobe.ts";
export { describeImport, type ImportReport, type ProblemKind, type ProblemSummary } from "./importers/problems.ts";
export { IMPORTS, type ImportRequest, importSchema, isImport } from "./importers/requests.ts";
export { importedCondition } from "./importers/specs.ts";
export type { Licence } from "./licences.ts";
export { epochOrder, Loader, type LoaderState } from "./loader.ts";
export {
  DATASETS,
  dataLicences,
  type OpenBuiltIn,
  type OpenEmoji,
  type OpenFaces,
  type OpenHands,
  type OpenHeroes,
  type OpenImport,
  type OpenRequest,
  type OpenScenes,
  type OpenSpeech,
  type OpenWords,
  openDataset,
} from "./open.ts";
export { type Random, seededRandom } from "./random.ts";
export { readCondition } from "./read-condition.ts";
export { readImage, readLabelMap, readLines } from "./read-image.ts";
export { SCENE_CLASSES, SCENE_GROUNDS, SCENE_LAYOUT } from "./scenes/recipe.ts";
export { logMel } from "./speech/log-mel.ts";
export { SPEECH } from "./speech/recipe.ts";
export { readWav, type Waveform } from "./speech/wav.ts";
export { CAPTION, captionsOf } from "./words/captions.ts";
export { drawingsOf } from "./words/drawings.ts";
