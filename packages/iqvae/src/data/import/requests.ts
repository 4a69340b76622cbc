import { z } from "zod";
import { IMAGE_SIZES } from "../dataset.ts";

const positive = z.int().min(1);
const common = {
  /** The folder of the data set. */
  path: z.string().min(1),
  size: z.literal([...IMAGE_SIZES]),
};
const name = z.string().min(1);
const color = z.string().regex(/^#[0-9a-f]{6}$/i, "must be a color such as '#ff8000'");
/** Class numbers are bytes, of which those of boxes leave out 0. */
const MOST_CLASSES = { map: 256, layout: 255 };
const names = z.array(name).min(1);

/** What several classes share, which must tell them apart. */
function shared(values: readonly string[]): string | undefined {
  return values.find((value, i) => values.indexOf(value) < i);
}

/** Names by which files call classes. */
const callNames = names.max(MOST_CLASSES.layout).refine((all) => shared(all) === undefined, {
  error: ({ input }) => `has '${shared(input as string[])}' twice; give each class a name of its own`,
});

const painted = z
  .array(z.strictObject({ name, color }))
  .min(1)
  .max(MOST_CLASSES.map)
  .refine((all) => shared(all.map((each) => each.color.toLowerCase())) === undefined, {
    error: ({ input }) => {
      const twice = shared((input as { color: string }[]).map((each) => each.color.toLowerCase()));
      return `has several classes of the color ${twice}; give each class a color of its own`;
    },
  });

const pairs = { name: z.literal("folder"), ...common };

/** A folder of pairs: `condition/` and `image/`, with the same name before the ending. */
const folder = z.discriminatedUnion("condition", [
  z.strictObject({
    ...pairs,
    condition: z.literal("semantic"),
    /** Names, where maps hold numbers; names and colors, where they are painted. */
    classes: z.union([names.max(MOST_CLASSES.map), painted]),
  }),
  z.strictObject({ ...pairs, condition: z.literal("lines") }),
  z.strictObject({ ...pairs, condition: z.literal("edges") }),
  z
    .strictObject({
      ...pairs,
      condition: z.literal("keypoints"),
      points: names.max(255),
      /** Pairs of points that a drawing connects, by number from 0. */
      bones: z.array(z.tuple([z.int().min(0), z.int().min(0)])).default([]),
    })
    .superRefine(({ points, bones }, context) => {
      for (const [i, bone] of bones.entries())
        for (const [j, end] of bone.entries())
          if (end >= points.length)
            context.addIssue({
              code: "custom",
              path: ["bones", i, j],
              message: `points are numbered from 0 to ${points.length - 1}, in the order of data.points`,
            });
    }),
  z.strictObject({
    ...pairs,
    condition: z.literal("layout"),
    classes: callNames,
    /** The most boxes of a layout. */
    boxes: positive.max(64).default(8),
  }),
  z.strictObject({
    ...pairs,
    condition: z.literal("text"),
    /** Bytes of a text, at most. */
    length: positive.max(4096).default(128),
    /** Read capitals as small letters. */
    lowercase: z.boolean().default(false),
  }),
  z.strictObject({
    ...pairs,
    condition: z.literal("audio"),
    bands: positive.max(128).default(32),
    /** 20 ms each, or spread over the whole sound. */
    frames: positive.max(4096).default(64),
    stretch: z.boolean().default(false),
  }),
]);

/** What can be imported, and how it is conditioned. */
export const importSchema = z.discriminatedUnion("name", [
  folder,
  /** Any folder of pictures; their edges are computed. */
  z.strictObject({ name: z.literal("images"), ...common, condition: z.literal("edges").default("edges") }),
  z.strictObject({ name: z.literal("ade20k"), ...common, condition: z.literal("semantic").default("semantic") }),
  z.strictObject({ name: z.literal("celebamask-hq"), ...common, condition: z.literal("semantic").default("semantic") }),
  z.strictObject({ name: z.literal("deepfashion"), ...common, condition: z.literal("keypoints").default("keypoints") }),
  z.strictObject({ name: z.literal("coco-stuff"), ...common, condition: z.literal("layout").default("layout") }),
  z.strictObject({
    name: z.literal("cub-200-2011"),
    ...common,
    condition: z.literal("text").default("text"),
    /** Bytes of a caption, at most; longer ones are left out. */
    length: positive.max(4096).default(192),
  }),
  z.strictObject({ name: z.literal("sub-urmp"), ...common, condition: z.literal("audio").default("audio") }),
]);

/** An import as people write it. */
export type ImportInput = z.input<typeof importSchema>;
/** An import with every value. */
export type ImportRequest = z.output<typeof importSchema>;
/** The import of one name. */
export type ImportOf<Name extends ImportRequest["name"]> = Extract<ImportRequest, { name: Name }>;
export type FolderRequest = z.output<typeof folder>;

/** The names of what can be imported. */
export const IMPORTS = [
  "folder",
  "images",
  "ade20k",
  "celebamask-hq",
  "deepfashion",
  "coco-stuff",
  "cub-200-2011",
  "sub-urmp",
] as const satisfies readonly ImportRequest["name"][];

export function isImport<T extends { readonly name: string }>(
  request: T,
): request is T & { name: ImportRequest["name"] } {
  return (IMPORTS as readonly string[]).includes(request.name);
}
