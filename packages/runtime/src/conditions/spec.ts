/** A color for people: red, green, blue in 0 … 255. */
export type Rgb = readonly [number, number, number];

/** One class of a semantic map and the color that shows it. */
export interface SemanticClass {
  readonly name: string;
  readonly color: Rgb;
}

/**
 * What the bytes of a condition mean. A sample is always of one shape, which {@link conditionShape} gives:
 *
 * | kind | shape | bytes |
 * |---|---|---|
 * | `semantic` | `[H, W]` | class numbers |
 * | `lines`, `edges` | `[H, W]` | 0 or 1 (line) |
 * | `keypoints` | `[K, 3]` | x and y in 0 … 255 of the image's side, 1 if visible; all 0 if not |
 * | `layout` | `[N, 5]` | class + 1 (0: no box), x and y of the top left corner, width and height, in 0 … 255 of the side |
 * | `text` | `[T]` | UTF-8, filled up with 0 |
 * | `audio` | `[M, F]` | log-mel spectrogram: `M` bands, the lowest first, by `F` frames |
 */
export type ConditionSpec =
  | SemanticSpec
  | { readonly kind: "lines" }
  | { readonly kind: "edges" }
  | KeyPointSpec
  | LayoutSpec
  | TextSpec
  | AudioSpec;

export interface SemanticSpec {
  readonly kind: "semantic";
  readonly classes: readonly SemanticClass[];
  /**
   * Whether maps are known by the numbers of classes, and colors are only for people: then the index in the palette of a PNG names the
   * class, whatever its color is. Otherwise the color does.
   */
  readonly indexed?: boolean;
}

export interface KeyPointSpec {
  readonly kind: "keypoints";
  /** Names of the points, in the order of the rows. */
  readonly points: readonly string[];
  /** Pairs of points that a drawing connects. */
  readonly bones: readonly (readonly [number, number])[];
}

export interface LayoutSpec {
  readonly kind: "layout";
  readonly classes: readonly SemanticClass[];
  /** The most boxes that a layout has. */
  readonly boxes: number;
}

export interface TextSpec {
  readonly kind: "text";
  /** Bytes of a text, at most. */
  readonly length: number;
  /** Read capitals as small letters, so that it does not matter how a text begins. */
  readonly lowercase?: boolean;
}

export interface AudioSpec {
  readonly kind: "audio";
  /** How a waveform becomes the spectrogram. */
  readonly bands: number;
  readonly frames: number;
  /** Spread the frames over the whole sound, so that a word spoken slowly looks like the same word spoken fast. */
  readonly stretch?: boolean;
}

export type ConditionKind = ConditionSpec["kind"];

/** The shape of one condition's bytes, for images of `size` pixels a side. */
export function conditionShape(spec: ConditionSpec, size: number): readonly number[] {
  switch (spec.kind) {
    case "semantic":
    case "lines":
    case "edges":
      return [size, size];
    case "keypoints":
      return [spec.points.length, 3];
    case "layout":
      return [spec.boxes, 5];
    case "text":
      return [spec.length];
    case "audio":
      return [spec.bands, spec.frames];
  }
}

/** The number of one condition's bytes. */
export function conditionLength(spec: ConditionSpec, size: number): number {
  return conditionShape(spec, size).reduce((product, side) => product * side, 1);
}

/**
 * Height and width of the planes that the network sees of a condition. What is drawn on the image's plane has the image's
 * size; a text is a line, one plane high.
 */
export function conditionPlanes(spec: ConditionSpec, size: number): readonly [height: number, width: number] {
  switch (spec.kind) {
    case "text":
      return [1, spec.length];
    case "audio":
      return [spec.bands, spec.frames];
    default:
      return [size, size];
  }
}

/** The number of planes that the network sees of a condition. */
export function conditionChannels(spec: ConditionSpec): number {
  switch (spec.kind) {
    case "semantic":
      return spec.classes.length;
    case "lines":
    case "edges":
    case "audio":
      return 1;
    case "keypoints":
      return spec.points.length;
    case "layout":
      return spec.classes.length + 1;
    case "text":
      return 256;
  }
}
