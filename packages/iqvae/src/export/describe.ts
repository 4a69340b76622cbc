import { basename } from "node:path";
import { BUNDLE_FORMAT, type Bundle, conditionPlanes, gridOf, type WeightType } from "@iqvae/runtime";
import type { Config } from "../config/index.ts";
import { conditionSpec, type DataConfig } from "../data/index.ts";
import { transformerConfig } from "../stage2/config.ts";

/** What `model.json` says of a model, before there are files. */
export type Description = Omit<Bundle, "files"> & {
  /** The data set, for held-out conditions to draw for; none where it is the user's own, which lies elsewhere. */
  readonly data?: DataConfig;
  /** The network of the perceptual loss, which must not judge the model; `null` without that loss. */
  readonly perceptual: NonNullable<Config["stage1"]["perceptual"]>["network"] | null;
};

/** The model of a configuration, as `model.json` describes it. */
export function describeModel(config: Config, weights: WeightType): Description {
  const { name, data, stage1, stage2 } = config;
  const { image, condition, coupled } = stage1.model;
  const { layers, width, heads, unconditional = false } = transformerConfig(stage2);
  const spec = conditionSpec(data);
  return {
    format: BUNDLE_FORMAT,
    name,
    condition: spec,
    size: data.size,
    grids: {
      condition: gridOf(condition, conditionPlanes(spec, data.size)),
      image: gridOf(image, [data.size, data.size]),
    },
    autoencoders: { condition, image, ...(coupled && { coupled }) },
    transformer: { layers, width, heads, unconditional },
    sampling: config.sampling,
    noise: 1,
    weights,
    perceptual: perceptualOf(config),
    ...("path" in data ? {} : { data }),
  };
}

/** Without the folder of a file, which is the user's own. */
function perceptualOf({ stage1: { perceptual } }: Config): Description["perceptual"] {
  if (perceptual === null) return null;
  const { network } = perceptual;
  return network.kind === "vgg16-lpips" ? { ...network, path: basename(network.path) } : network;
}
