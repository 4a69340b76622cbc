/** A file of weights that somebody published. */
export interface PublishedFile {
  readonly url: string;
  /** Of the published file, hexadecimal. */
  readonly sha256: string;
  readonly megabytes: number;
  readonly license: string;
}

export type OfficialName = "inception-v3-fid" | "vgg16-lpips";

/**
 * The networks whose figures may be called plain FID and LPIPS, and the files that hold their weights. The files are pickles;
 * `tools/convert-weights.py` checks their hashes and writes one safetensors file for each network, which names the hashes of
 * what it was made from in its metadata.
 */
export const OFFICIAL_NETWORKS: Readonly<Record<OfficialName, readonly PublishedFile[]>> = {
  "inception-v3-fid": [
    {
      url: "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
      sha256: "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
      megabytes: 96,
      license: "Apache-2.0",
    },
  ],
  "vgg16-lpips": [
    {
      url: "https://download.pytorch.org/models/vgg16-397923af.pth",
      sha256: "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
      megabytes: 553,
      license: "CC-BY-4.0 (VGG), BSD-3-Clause (torchvision)",
    },
    {
      url: "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1/vgg.pth",
      sha256: "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
      megabytes: 0.01,
      license: "BSD-2-Clause",
    },
  ],
};

/** Metadata under which a converted file names the hashes of its sources, separated by spaces. */
export const SOURCES_KEY = "sources_sha256";

/** Whether a converted file says that it was made from the published weights. */
export function isOfficial(name: OfficialName, metadata: Readonly<Record<string, string>>): boolean {
  const wanted = OFFICIAL_NETWORKS[name].map(({ sha256 }) => sha256).sort();
  return (metadata[SOURCES_KEY] ?? "").split(" ").sort().join() === wanted.join();
}
