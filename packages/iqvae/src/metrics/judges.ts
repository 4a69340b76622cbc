import type { Config } from "../config/index.ts";
import type { PairDataset } from "../data/index.ts";
import { isPhotographs } from "../data/photographs.ts";
import { ATTRIBUTE_SETS } from "../features/attribute-labels.ts";
import { LITE0_FEATURES } from "../features/efficientnet.ts";
import { lossNetworkSpec, nameOf } from "../features/loss-network.ts";
import type { FeatureNetwork } from "../features/network.ts";
import type { FeatureNetworkSpec } from "../features/open.ts";

/** What a run's stage 1 was trained with, as far as it matters for who may judge it. */
export interface JudgedConfig {
  readonly data: Config["data"];
  readonly stage1: {
    readonly perceptual: Pick<NonNullable<Config["stage1"]["perceptual"]>, "network"> | null;
  };
}

/** The network that a run's perceptual term compares pictures by; none if it has no such term. */
function lossNetwork({ data, stage1: { perceptual } }: JudgedConfig): string | undefined {
  const spec = perceptual === null ? undefined : lossNetworkSpec(perceptual.network, data);
  return spec && nameOf(spec);
}

/** Whether a network of this name, whatever its weights are, is the one of the run's perceptual term. */
function isOwn(config: JudgedConfig, judge: string): boolean {
  const own = lossNetwork(config);
  // Networks with other than the published weights have "(weights …)" behind their names.
  return own !== undefined && (judge === own || judge.startsWith(`${own} (`));
}

/** Networks to measure with that need no file of the user's. */
export const JUDGE_NAMES = [
  "attributes-faces",
  "attributes-emoji",
  "efficientnet-lite0",
  "efficientnet-lite0-80",
  "efficientnet-lite0-1280",
] as const;
export type JudgeName = (typeof JUDGE_NAMES)[number];

/** The network of this name for images of this size. */
export function judgeSpec(name: JudgeName, size: PairDataset["size"]): FeatureNetworkSpec {
  if (name === "attributes-faces") return { kind: "attributes", set: "faces", size };
  if (name === "attributes-emoji") return { kind: "attributes", set: "emoji", size };
  const features = LITE0_FEATURES.find((count) => name.endsWith(`-${count}`));
  return { kind: "efficientnet-lite0", ...(features === undefined ? {} : { features }) };
}

/**
 * Refuses the network of a run's perceptual term as its judge: the run has learned to please it, and its Fréchet distance falls
 * where that of other networks does not.
 *
 * @param run names the run in the message
 * @param judges feature networks, open or not
 * @throws Error that names the network and others that may judge
 */
export function expectImpartial(
  run: string,
  config: JudgedConfig,
  judges: readonly (FeatureNetwork | FeatureNetworkSpec)[],
): void {
  const names = judges.map((judge) => ("kind" in judge ? nameOf(judge) : judge.name));
  const own = names.find((name) => isOwn(config, name));
  if (own === undefined) return;
  throw new Error(
    `${run} was trained to please ${own} (stage1.perceptual), so this network must not judge it. Take another: ` +
      `${nameOf(defaultJudge(config.data, [config]))}, or efficientnet-lite0, which no run is trained with (--judge).`,
  );
}

/**
 * The network that judges runs on a data set where nothing else is said: for photographs that come with packages `efficientnet-lite0`,
 * which is fetched; else that of the attributes of the set itself; of `emoji`, or else of `faces`, where it has none, for what is made of
 * emoji and as a stand-in for the rest. Those that are in the loss of one of the runs are passed over.
 *
 * @throws Error when all are
 */
export function defaultJudge(
  { name, size }: Pick<PairDataset, "name" | "size">,
  configs: readonly JudgedConfig[],
): FeatureNetworkSpec {
  if (isPhotographs(name)) return { kind: "efficientnet-lite0" };
  const sets = [...new Set([ATTRIBUTE_SETS.find((set) => set === name) ?? "emoji", "emoji", "faces"] as const)];
  const specs = sets.map((set) => ({ kind: "attributes", set, size }) as const);
  const judge = specs.find((spec) => !configs.some((config) => isOwn(config, nameOf(spec))));
  if (judge !== undefined) return judge;
  throw new Error(
    `These runs were trained to please ${specs.map(nameOf).join(" and ")} (stage1.perceptual), so neither can judge them all. ` +
      "Name another network: --judge efficientnet-lite0.",
  );
}
