import { plainCondition } from "./conditions/index.ts";
import { type ConditionSpec, conditionLength, conditionPlanes } from "./conditions/spec.ts";
import { ModelError } from "./errors.ts";
import { array, base64, boolean, byte, type Fail, fromBase64, object, oneOf, positive, text, whole } from "./json.ts";
import {
  type AutoencoderShape,
  type AutoencoderShapes,
  GROUPS,
  gridOf,
  LARGEST,
  type Sides,
  type TransformerShape,
} from "./layers.ts";

/** The number of the layout of an exported folder. A reader refuses others. */
export const BUNDLE_FORMAT = 1;
/** What describes the model, and what holds its weights. */
export const MODEL_FILE = "model.json";
export const WEIGHTS_FILE = "model.safetensors";

/** How matrices are stored: see {@link readWeights}. */
export const WEIGHT_TYPES = ["f32", "f16", "int8"] as const;
export type WeightType = (typeof WEIGHT_TYPES)[number];

/**
 * What `model.json` of an exported folder says: all that drawing needs but the weights. Other keys are allowed, and have no meaning here.
 *
 * The weights lie in `model.safetensors`, under the names of `weightShapes`.
 */
export interface Bundle {
  readonly format: typeof BUNDLE_FORMAT;
  /** The name of the run. */
  readonly name: string;
  readonly condition: ConditionSpec;
  /** Pixels a side of the images. */
  readonly size: number;
  /** Height and width in codes. */
  readonly grids: { readonly condition: Sides; readonly image: Sides };
  readonly autoencoders: AutoencoderShapes;
  readonly transformer: TransformerShape;
  /** What to draw with where the caller says nothing. */
  readonly sampling: SamplingDefaults;
  /** The version of the random numbers that seeds stand for: see `noise.ts`. */
  readonly noise: 1;
  readonly weights: WeightType;
  /** Conditions to begin with, their bytes in Base64; not all models have some. */
  readonly examples?: readonly string[];
  /** Every other file of the folder by its name. `model.safetensors` is among them. */
  readonly files: Readonly<Record<string, FileEntry>>;
}

export interface SamplingDefaults {
  readonly temperature: number;
  /** `null` allows all codes. */
  readonly topK: number | null;
  readonly topP: number;
  readonly guidance: number;
}

export interface FileEntry {
  readonly bytes: number;
  /** SHA-256, 64 lower-case hexadecimal digits. */
  readonly sha256: string;
}

/**
 * Reads and checks `model.json`.
 *
 * @throws ModelError that names the field that is wrong, what was expected and what came
 */
export function parseBundle(json: string): Bundle {
  const fail: Fail = (reason) => {
    throw new ModelError(MODEL_FILE, "damaged", `${reason}; export the run again: iqvae export`);
  };
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    fail(`it is not valid JSON (${(error as Error).message})`);
  }
  return readBundle(value, fail);
}

function readBundle(value: unknown, fail: Fail): Bundle {
  const model = object(value, "the document", fail);
  if (model.format !== BUNDLE_FORMAT) {
    throw new ModelError(
      MODEL_FILE,
      "unknown format",
      `its format is ${JSON.stringify(model.format)}, but this version of @iqvae/runtime reads format ${BUNDLE_FORMAT}; ` +
        "take the version that it was exported for, or export the run again",
    );
  }
  const grids = object(model.grids, "grids", fail);
  const autoencoders = object(model.autoencoders, "autoencoders", fail);
  const bundle: Bundle = {
    format: BUNDLE_FORMAT,
    name: text(model.name, "name", fail),
    condition: readSpec(model.condition, fail),
    size: whole(model.size, "size", fail, 1, 4096),
    grids: {
      condition: readSides(grids.condition, "grids.condition", fail),
      image: readSides(grids.image, "grids.image", fail),
    },
    autoencoders: {
      condition: readAutoencoder(autoencoders.condition, "autoencoders.condition", fail),
      image: readAutoencoder(autoencoders.image, "autoencoders.image", fail),
      ...(autoencoders.coupled === undefined
        ? {}
        : { coupled: boolean(autoencoders.coupled, "autoencoders.coupled", fail) }),
    },
    transformer: readTransformer(model.transformer, fail),
    sampling: readSampling(model.sampling, fail),
    noise: oneOf(model.noise, "noise", fail, [1]),
    weights: oneOf(model.weights, "weights", fail, WEIGHT_TYPES),
    ...(model.examples === undefined ? {} : { examples: array(model.examples, "examples", fail, base64) }),
    files: readFiles(model.files, fail),
  };
  checkGrid("image", bundle.grids.image, bundle.autoencoders.image, [bundle.size, bundle.size], fail);
  const planes = conditionPlanes(bundle.condition, bundle.size);
  checkGrid("condition", bundle.grids.condition, bundle.autoencoders.condition, planes, fail);
  checkCoupling(bundle, fail);
  checkExamples(bundle, fail);
  return bundle;
}

/** @throws by `fail`, when a condition's specification is wrong */
export function readSpec(value: unknown, fail: Fail): ConditionSpec {
  const spec = object(value, "condition", fail);
  const at = (name: string) => `condition.${name}`;
  const count = (name: string, most: number) => whole(spec[name], at(name), fail, 1, most);
  const kinds = ["semantic", "lines", "edges", "keypoints", "layout", "text", "audio"] as const;
  const kind = oneOf(spec.kind, at("kind"), fail, kinds);
  switch (kind) {
    case "lines":
    case "edges":
      return { kind };
    case "semantic": {
      const classes = readClasses(spec.classes, fail, 256);
      return spec.indexed === undefined
        ? { kind, classes }
        : { kind, classes, indexed: boolean(spec.indexed, at("indexed"), fail) };
    }
    case "layout":
      // One less than a byte has values: 0 is not a box.
      return { kind, classes: readClasses(spec.classes, fail, 255), boxes: count("boxes", 4096) };
    case "keypoints": {
      const points = array(spec.points, at("points"), fail, text);
      const bones = array(spec.bones, at("bones"), fail, (bone, where) => {
        const ends = array(bone, where, fail, (end, place) => whole(end, place, fail, 0, points.length - 1));
        return ends.length === 2 ? (ends as [number, number]) : fail(`${where} must be two numbers of points`);
      });
      return { kind, points, bones };
    }
    case "text": {
      const size = { kind, length: count("length", 65_536) };
      return spec.lowercase === undefined
        ? size
        : { ...size, lowercase: boolean(spec.lowercase, at("lowercase"), fail) };
    }
    case "audio": {
      const size = { kind, bands: count("bands", 4096), frames: count("frames", 65_536) };
      return spec.stretch === undefined ? size : { ...size, stretch: boolean(spec.stretch, at("stretch"), fail) };
    }
  }
}

function readClasses(value: unknown, fail: Fail, most: number) {
  const classes = array(value, "condition.classes", fail, (each, where) => {
    const { name, color } = object(each, where, fail);
    const rgb = array(color, `${where}.color`, fail, (channel, place) => byte(channel, place, fail));
    if (rgb.length !== 3) fail(`${where}.color must be three numbers`);
    return { name: text(name, `${where}.name`, fail), color: rgb as [number, number, number] };
  });
  if (classes.length >= 1 && classes.length <= most) return classes;
  return fail(`condition.classes must be 1 to ${most} classes, but are ${classes.length}`);
}

function readSides(value: unknown, where: string, fail: Fail): Sides {
  const sides = array(value, where, fail, (side, place) => whole(side, place, fail, 1, 65_536));
  return sides.length === 2 ? (sides as [number, number]) : fail(`${where} must be height and width`);
}

function readAutoencoder(value: unknown, where: string, fail: Fail): AutoencoderShape {
  const shape = object(value, where, fail);
  const count = (name: "channels" | "blocks" | "codes" | "codeDim") =>
    whole(shape[name], `${where}.${name}`, fail, 1, LARGEST[name]);
  const multipliers = array(shape.multipliers, `${where}.multipliers`, fail, (each, place) =>
    whole(each, place, fail, 1, LARGEST.multiplier),
  );
  if (multipliers.length === 0) fail(`${where}.multipliers must not be empty`);
  const channels = count("channels");
  // They are normalized in so many groups.
  if (channels % GROUPS !== 0) fail(`${where}.channels must be a multiple of ${GROUPS}, but is ${channels}`);
  return {
    channels,
    multipliers,
    blocks: count("blocks"),
    patch: oneOf(shape.patch, `${where}.patch`, fail, [1, 2, 4]),
    codes: count("codes"),
    codeDim: count("codeDim"),
  };
}

function readTransformer(value: unknown, fail: Fail): TransformerShape {
  const shape = object(value, "transformer", fail);
  const count = (name: "layers" | "width" | "heads") =>
    whole(shape[name], `transformer.${name}`, fail, 1, LARGEST[name]);
  const [layers, width, heads] = [count("layers"), count("width"), count("heads")];
  if (width % heads !== 0) fail(`transformer.width must be a multiple of its ${heads} heads, but is ${width}`);
  return { layers, width, heads, unconditional: boolean(shape.unconditional, "transformer.unconditional", fail) };
}

function readSampling(value: unknown, fail: Fail): SamplingDefaults {
  const { temperature, topK, topP, guidance } = object(value, "sampling", fail);
  const share = positive(topP, "sampling.topP", fail);
  return {
    temperature: positive(temperature, "sampling.temperature", fail),
    topK: topK === null ? null : whole(topK, "sampling.topK", fail, 1, Number.MAX_SAFE_INTEGER),
    topP: share <= 1 ? share : fail(`sampling.topP must be at most 1, but is ${share}`),
    guidance: positive(guidance, "sampling.guidance", fail),
  };
}

function readFiles(value: unknown, fail: Fail): Record<string, FileEntry> {
  const files = Object.entries(object(value, "files", fail)).map(([name, entry]): [string, FileEntry] => {
    const where = `files[${JSON.stringify(name)}]`;
    const { bytes, sha256 } = object(entry, where, fail);
    const hash = text(sha256, `${where}.sha256`, fail);
    if (!/^[0-9a-f]{64}$/.test(hash)) fail(`${where}.sha256 must be 64 hexadecimal digits in lower case`);
    return [name, { bytes: whole(bytes, `${where}.bytes`, fail, 0, Number.MAX_SAFE_INTEGER), sha256: hash }];
  });
  const all = Object.fromEntries(files);
  return Object.hasOwn(all, WEIGHTS_FILE) ? all : fail(`files must name ${WEIGHTS_FILE}`);
}

function checkGrid(name: string, grid: Sides, shape: AutoencoderShape, planes: Sides, fail: Fail): void {
  const expected = gridOf(shape, planes);
  if (grid.join() === expected.join()) return;
  fail(
    `grids.${name} is ${grid.join(" × ")}, but its auto-encoder makes ${expected.join(" × ")} of ${planes.join(" × ")}`,
  );
}

function checkCoupling({ grids: { image, condition }, autoencoders }: Bundle, fail: Fail): void {
  if (autoencoders.coupled !== true || image.join() === condition.join()) return;
  fail(
    `autoencoders.coupled needs one grid, but grids.image is ${image.join(" × ")} and grids.condition ${condition.join(" × ")}`,
  );
}

/** Conditions that come with a model. */
export function examplesOf({ examples = [] }: Bundle): Uint8Array[] {
  return examples.map(fromBase64);
}

function checkExamples(model: Bundle, fail: Fail): void {
  const { condition, size } = model;
  const { check } = plainCondition(condition, size);
  const length = conditionLength(condition, size);
  for (const [i, bytes] of examplesOf(model).entries()) {
    if (bytes.length !== length) fail(`examples[${i}] must be ${length} bytes, but is ${bytes.length}`);
    try {
      check(bytes);
    } catch (error) {
      fail(`examples[${i}] is not a condition of this model: ${(error as Error).message.replace(/\.$/, "")}`);
    }
  }
}
