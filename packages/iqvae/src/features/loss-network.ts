import { ATTRIBUTE_SETS, type AttributeSet } from "./attribute-labels.ts";
import type { FeatureNetworkSpec } from "./open.ts";

/** What a perceptual term compares pictures by, as a configuration has it. */
export type LossNetwork =
  /** That of the attributes of this set; `null`: of the run's own data set. */
  | { readonly kind: "attributes"; readonly set: AttributeSet | null }
  | { readonly kind: "hed-vgg16" }
  | { readonly kind: "vgg16-lpips"; readonly path: string };

/** The network of a perceptual term; `undefined` when it is that of the data set's own attributes, which it does not have. */
export function lossNetworkSpec(
  network: LossNetwork,
  data: { readonly name: string; readonly size: Extract<FeatureNetworkSpec, { kind: "attributes" }>["size"] },
): FeatureNetworkSpec | undefined {
  if (network.kind !== "attributes") return network;
  const set = network.set ?? ATTRIBUTE_SETS.find((name) => name === data.name);
  return set && { kind: "attributes", set, size: data.size };
}

/** What the name of a network begins with, whatever its weights are. */
export function nameOf(spec: FeatureNetworkSpec): string {
  return spec.kind === "attributes" ? `attributes-${spec.set}-${spec.size}` : spec.kind;
}
