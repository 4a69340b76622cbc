import { z } from "zod";
import type { Limits } from "./limits.ts";

/* What goes in and out, once: requests are checked by these schemas, and the OpenAPI description is made of them. */

const base64 = z.base64().min(4);
const share = z.number().min(0).max(1);

const condition = z
  .discriminatedUnion("kind", [
    z.strictObject({
      kind: z.literal("picture"),
      png: base64.describe(
        "A PNG file of exactly the model's size, in Base64: a map in the colors of the classes or in gray class numbers, or a drawing in dark lines",
      ),
    }),
    z.strictObject({
      kind: z.literal("points"),
      points: z
        .array(z.tuple([share, share]).nullable())
        .max(4096)
        .describe("For each key point [x, y] as shares of the side, or null where it is hidden"),
    }),
    z.strictObject({
      kind: z.literal("boxes"),
      boxes: z
        .array(z.strictObject({ class: z.string(), box: z.tuple([share, share, share, share]) }))
        .max(4096)
        .describe("Boxes [left, top, width, height] as shares of the side, each with the name of its class"),
    }),
    z.strictObject({ kind: z.literal("text"), text: z.string().min(1) }),
    z.strictObject({ kind: z.literal("sound"), wav: base64.describe("A WAV file, in Base64") }),
    z.strictObject({
      kind: z.literal("bytes"),
      bytes: base64.describe("The condition's own bytes, in Base64, of the shape that /v1/models says"),
    }),
    z.strictObject({
      kind: z.literal("example"),
      number: z.int().min(0).describe("One of the conditions that come with the model, counted from 0"),
    }),
  ])
  .describe("What the images are to follow; which kinds a model takes is said by /v1/models");

/** What `POST /v1/images` takes. */
export function imageRequest({ samples }: Pick<Limits, "samples">) {
  return z.strictObject({
    model: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .describe("The name of a model; may be left out where there is one only"),
    condition,
    samples: z.int().min(1).max(samples).default(1).describe("Images to draw"),
    firstSample: z
      .int()
      .min(0)
      .max(2 ** 31)
      .default(0)
      .describe(
        "The number of the first image: 4 to 7 of a seed are the same whether 0 to 3 are drawn with them or not",
      ),
    seed: z
      .int()
      .optional()
      .describe("Equal seeds draw equal images. Without one, one is chosen, which the answer says"),
    temperature: z.number().gt(0).max(1000).optional().describe("Below 1 safer, above 1 more varied"),
    topK: z.int().min(1).nullish().describe("Draw among the likeliest codes only; null: among all"),
    topP: z.number().gt(0).max(1).optional().describe("Draw among the likeliest codes that reach this probability"),
    guidance: z
      .number()
      .min(0)
      .max(1000)
      .optional()
      .describe("Above 1 follows the condition more closely; only for models that /v1/models calls guidable"),
    frames: z.boolean().default(false).describe("Whether a streamed answer shows images while they are drawn"),
  });
}

export type ImageRequest = z.output<ReturnType<typeof imageRequest>>;
export type RequestedCondition = ImageRequest["condition"];

const image = z.object({
  sample: z.int().describe("The number of the image"),
  png: z.base64().describe("A PNG file, in Base64"),
});

/** The whole answer of `POST /v1/images`. */
export const imagesAnswer = z.object({
  model: z.string(),
  seed: z.int(),
  images: z.array(image),
});

/** What is wrong with a request, as RFC 9457 has it. */
export const problemAnswer = z.object({
  type: z.literal("about:blank"),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  errors: z
    .array(z.object({ field: z.string().describe("As a path, such as condition.text"), message: z.string() }))
    .optional(),
});

/** One event of a streamed answer. */
export const imageEvent = z.discriminatedUnion("event", [
  z.object({ event: z.literal("accepted"), model: z.string(), seed: z.int() }),
  z.object({ event: z.literal("progress"), share: z.number().describe("Of all images of the request, 0 to 1") }),
  z.object({ event: z.literal("frame"), share: z.number().describe("Of this image"), ...image.shape }),
  z.object({ event: z.literal("image"), ...image.shape }),
  z.object({ event: z.literal("done"), images: z.int() }),
  z.object({ event: z.literal("error"), problem: problemAnswer }),
]);
export type ImageEvent = z.output<typeof imageEvent>;

const color = z.tuple([z.int(), z.int(), z.int()]);
const classes = z.array(z.object({ name: z.string(), color }));

/** What `GET /v1/models` answers. */
export const modelsAnswer = z.object({
  models: z.array(
    z.object({
      name: z.string(),
      size: z.int().describe("Pixels a side of the images"),
      engine: z.string().describe("What draws"),
      condition: z.object({
        kind: z.enum(["semantic", "lines", "edges", "keypoints", "layout", "text", "audio"]),
        given: z
          .enum(["picture", "points", "boxes", "text", "sound"])
          .describe("The kind of condition to send; bytes and, where there are some, examples are taken, too"),
        shape: z.array(z.int()).describe("Of the condition's own bytes"),
        classes: classes.optional().describe("Of maps and layouts"),
        points: z.array(z.string()).optional().describe("Names of key points, in their order"),
      }),
      examples: z.int().describe("How many conditions come with the model"),
      guidable: z.boolean().describe("Whether guidance may be other than 1"),
      sampling: z
        .object({
          temperature: z.number(),
          topK: z.int().nullable(),
          topP: z.number(),
          guidance: z.number(),
        })
        .describe("What is drawn with where a request says nothing"),
    }),
  ),
});
export type ModelsAnswer = z.output<typeof modelsAnswer>;

/** What `GET /healthz` answers. */
export const healthAnswer = z.object({
  status: z.enum(["ok", "starting", "draining"]),
  waiting: z.int().describe("Images that wait"),
  drawing: z.int().describe("Images that are being drawn"),
});
