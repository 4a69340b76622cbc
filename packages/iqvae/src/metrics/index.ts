export { type FeatureLayer, type FeatureNetwork, perceptualDistance } from "./features/network.ts";
export { OFFICIAL_NETWORKS } from "./features/official.ts";
export { type FeatureNetworkSpec, openFeatureNetwork } from "./features/open.ts";
