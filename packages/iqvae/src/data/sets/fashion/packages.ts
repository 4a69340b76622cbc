import type { DataPackage } from "../../packages.ts";

const FOLDER = "usr/share/datasets/fashion-mnist";

/** Files of photographs and of their labels, to train on and held out. */
export const FASHION_FILES = {
  train: [`${FOLDER}/train-images-idx3-ubyte.gz`, `${FOLDER}/train-labels-idx1-ubyte.gz`],
  test: [`${FOLDER}/t10k-images-idx3-ubyte.gz`, `${FOLDER}/t10k-labels-idx1-ubyte.gz`],
} as const;

/** Fashion-MNIST: 70,000 gray photographs of garments, 28 × 28 pixels. */
export const FASHION: DataPackage = {
  kind: "deb",
  name: "dataset-fashion-mnist",
  version: "0.0~git20200523.55506a9-1",
  sha256: "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
  files: [...FASHION_FILES.train, ...FASHION_FILES.test],
  megabytes: 31,
  terms: {
    author: "Zalando SE, Han Xiao, Kashif Rasul and Roland Vollgraf",
    license: "MIT",
    url: "https://github.com/zalandoresearch/fashion-mnist",
  },
};
