import { conditionPlanes } from "../conditions/index.ts";
import { conditionSpec, HAND_DRAWN, IMAGE_SIZES } from "../data/index.ts";
import { ATTRIBUTE_SETS } from "../features/attribute-labels.ts";
import { lossNetworkSpec } from "../features/loss-network.ts";
import { axesOf, reduction, type Sides, sides } from "../models/autoencoder.ts";
import { leastSide } from "../models/discriminator.ts";
import type { Config } from "./schema.ts";

/** Why image and condition are not on one grid, if they are not, for what compares or joins equal places of two grids. */
function unpaired(
  { data, stage1 }: Config,
  planes: { image: Sides; condition: Sides },
  { what, instead }: { what: string; instead: string },
): string[] {
  const [image, condition] = [reduction(stage1.model.image), reduction(stage1.model.condition)];
  if (planes.condition.some((side, i) => side !== planes.image[i])) {
    const by = sides(condition, axesOf(planes.condition), 1);
    const grid = planes.condition.map((side, i) => side / by[i]!).join(" × ");
    return [
      `${what} needs image and condition on one grid, but conditions of kind '${data.condition}' ` +
        `lie on ${grid} places; ${instead}`,
    ];
  }
  if (image === condition) return [];
  return [
    `${what} needs image and condition on one grid, but they are reduced ${image}-fold and ` +
      `${condition}-fold; ${instead}, or take equal 'patch' and 'multipliers'`,
  ];
}

/** What is wrong with values that are right on their own, each with the nearest choice that works. */
export function impossibleCombinations(config: Config): string[] {
  const { data, stage1, stage2 } = config;
  const problems: string[] = [];
  const planes = { image: [data.size, data.size] as const, condition: conditionPlanes(conditionSpec(data), data.size) };
  for (const part of ["image", "condition"] as const) {
    const by = reduction(stage1.model[part]);
    const acted = axesOf(planes[part]) === "both" ? planes[part] : planes[part].slice(1);
    if (acted.every((side) => side % by === 0)) continue;
    if (planes[part].some((side) => side !== data.size)) {
      const came = planes[part].join(" × ");
      problems.push(
        `conditions of kind '${data.condition}' are planes of ${came}, which cannot be reduced ${by}-fold, as ` +
          `stage1.model.${part} does; shorten 'multipliers'`,
      );
      continue;
    }
    const size = IMAGE_SIZES.find((side) => side >= by);
    const choice = size === undefined ? "shorten 'multipliers'" : `use data.size ${size}, or shorten 'multipliers'`;
    problems.push(`data.size ${data.size} cannot be reduced ${by}-fold, as stage1.model.${part} does; ${choice}`);
  }
  if (stage1.regularizer.estimator === "paired") {
    problems.push(
      ...unpaired(config, planes, { what: "stage1.regularizer 'paired'", instead: "use 'sliced' or 'entropic'" }),
    );
  }
  if (stage1.model.coupled)
    problems.push(...unpaired(config, planes, { what: "stage1.model.coupled", instead: "leave it false" }));
  if (stage1.adversarial !== null) {
    const least = leastSide(stage1.adversarial.layers);
    if (data.size < least) {
      const most = Math.floor(Math.log2(data.size / 3));
      problems.push(
        `stage1.adversarial with ${stage1.adversarial.layers} layers needs pictures of ${least} pixels a side, but data.size ` +
          `is ${data.size}; use at most ${most} layers`,
      );
    }
  }
  if (stage1.perceptual !== null && lossNetworkSpec(stage1.perceptual.network, data) === undefined) {
    problems.push(
      `stage1.perceptual looks with the network of the data set's own attributes, which there is for ${ATTRIBUTE_SETS.join(" and ")} ` +
        `only, not for ${data.name}; name one of these in stage1.perceptual.network.set, or use the network 'hed-vgg16'`,
    );
  }
  if (stage2.handDrawn > 0 && !HAND_DRAWN.includes(conditionSpec(data).kind)) {
    problems.push(
      `stage2.handDrawn is about conditions of kind ${HAND_DRAWN.join(", ")}, but these are of kind '${data.condition}'; leave it 0, or ` +
        "take a data set with maps or lines",
    );
  }
  const { width, heads } = stage2.model;
  if (width % heads !== 0) {
    const nearest = Math.max(1, Math.round(width / heads)) * heads;
    problems.push(`stage2.model.width ${width} cannot be shared by ${heads} heads; the nearest width is ${nearest}`);
  }
  for (const [name, { warmup, steps }] of [["stage1", stage1] as const, ["stage2", stage2] as const]) {
    if (warmup > steps) {
      problems.push(`${name}.warmup ${warmup} is longer than the training; use at most ${name}.steps, ${steps}`);
    }
  }
  const { guidance } = config.sampling;
  if (guidance !== 1 && stage2.conditionDropout === 0) {
    problems.push(
      `sampling.guidance ${guidance} needs a model that also learns without conditions: give stage2.conditionDropout a share, such as 0.1`,
    );
  }
  return problems;
}
