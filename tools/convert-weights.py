"""Turns published weights into safetensors files that `iqvae metrics --inception FILE --vgg FILE` reads.

    pip install torch safetensors
    python3 tools/convert-weights.py inception-v3-fid pt_inception-2015-12-05-6726825d.pth -o inception-v3-fid.safetensors
    python3 tools/convert-weights.py vgg16-lpips vgg16-397923af.pth vgg.pth -o vgg16-lpips.safetensors

The addresses of the published files are in `npx iqvae metrics --help`. The published files are pickles, which can run code
when they are read: their SHA-256 is checked before that, and a file with another hash is refused. Tensors keep their names
and bits; what the networks do not need is left out. The result names the hashes in its metadata, which is how the program
knows that a figure may be called FID or LPIPS.
"""
import argparse
import hashlib
import os
import re
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

# By network: for each source its SHA-256 and the tensors that are taken from it.
NETWORKS = {
    "inception-v3-fid": {
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2": (
            r"(Conv2d|Mixed)_.*\.(conv\.weight|bn\.(weight|bias|running_mean|running_var))"
        ),
    },
    "vgg16-lpips": {
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0": r"features\..*",
        "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868": r"lin[0-4]\.model\.1\.weight",
    },
}


def digest(path):
    value = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            value.update(block)
    return value.hexdigest()


def convert(network, paths, target):
    wanted = NETWORKS[network]
    found = {digest(path): path for path in paths}
    for sha256, path in found.items():
        if sha256 not in wanted:
            sys.exit(f"{path} has the SHA-256 {sha256}, which is not a file of {network}: {', '.join(wanted)}. Fetch it again.")
    for sha256 in wanted:
        if sha256 not in found:
            sys.exit(f"{network} needs {len(wanted)} files; the one with the SHA-256 {sha256} was not given.")
    tensors = {}
    for sha256, pattern in wanted.items():
        state = torch.load(found[sha256], map_location="cpu")
        tensors |= {name: value.float().contiguous() for name, value in state.items() if re.fullmatch(pattern, name)}
    aside = target.with_name(f"{target.name}.part")
    save_file(tensors, aside, {"network": network, "sources_sha256": " ".join(wanted)})
    os.replace(aside, target)
    print(f"{target}: {len(tensors)} tensors, {target.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Published weights as a safetensors file")
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("files", nargs="+", type=Path, help="the published files, in any order")
    parser.add_argument("-o", "--output", required=True, type=Path)
    arguments = parser.parse_args()
    convert(arguments.network, arguments.files, arguments.output)
