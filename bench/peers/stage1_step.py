"""The IQ-VAE of `packages/iqvae/src/models` and its training step in plain PyTorch, as its users write it.

As users run it: float32, NCHW. `--layout channels_last`, `--precision bfloat16` (autocast) and `--compile` are what they find when
they read on; the allocator is tuned by environment variables. Codes are placed at random, not by k-means, which ours does once,
outside the measurement. Prints one JSON line a measured step and a last one with the number of parameters and the peak memory.
"""
import argparse
import contextlib
import json
import math
import re
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gw_sliced import sliced_gw

SIZE, CLASSES, PAIRS = 64, 13, 512
DECAY, DEAD_BELOW = 0.98, 0.1


class GroupNormSiLU(nn.GroupNorm):
    def __init__(self, channels):
        super().__init__(8, channels, eps=1e-6)

    def forward(self, x):
        # Before 2.1 the CPU kernel refuses float32 weights with a bfloat16 input.
        y = F.group_norm(x, self.num_groups, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps)
        return F.silu(y, inplace=True)


class ResidualBlock(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.norm1, self.conv1 = GroupNormSiLU(inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2, self.conv2 = GroupNormSiLU(outputs), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x):
        return self.skip(x) + self.conv2(self.norm2(self.conv1(self.norm1(x))))


class Upsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


def encoder(inputs, channels, multipliers, blocks, patch):
    widths = [channels * m for m in multipliers]
    layers, width = [nn.Conv2d(inputs, widths[0], patch, stride=patch)], widths[0]
    for level, following in enumerate(widths):
        if level > 0:
            layers.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
        for _ in range(blocks):
            layers.append(ResidualBlock(width, following))
            width = following
    return nn.Sequential(*layers), width


def decoder(outputs, channels, multipliers, blocks, patch):
    widths = [channels * m for m in reversed(multipliers)]
    layers, width = [], widths[0]
    for level, following in enumerate(widths):
        if level > 0:
            layers.append(Upsample(width))
        for _ in range(blocks):
            layers.append(ResidualBlock(width, following))
            width = following
    head = nn.Conv2d(width, outputs * patch * patch, 3, padding=1)
    return nn.Sequential(*layers, GroupNormSiLU(width), head, nn.PixelShuffle(patch))


class Quantizer(nn.Module):
    """EMA codebook on the unit sphere with straight-through gradients; dead codes move to vectors of the batch."""

    def __init__(self, width, codes, code_dim):
        super().__init__()
        self.codes = codes
        self.down, self.up = nn.Linear(width, code_dim), nn.Linear(code_dim, width)
        codebook = F.normalize(torch.randn(codes, code_dim), dim=1)
        self.register_buffer("codebook", codebook)
        self.register_buffer("counts", torch.ones(codes))
        self.register_buffer("sums", codebook.clone())

    def forward(self, features):
        b, _, h, w = features.shape
        unit = F.normalize(self.down(features.permute(0, 2, 3, 1).flatten(0, 2)).float(), dim=1)
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            indices = (unit @ self.codebook.t()).argmax(1)
            chosen = self.codebook[indices]
            self.follow(unit, indices)
        commitment = (unit - chosen).square().sum(1).mean()
        through = unit + (chosen - unit).detach()
        output = self.up(through).reshape(b, h, w, -1).permute(0, 3, 1, 2)
        return output, unit, commitment

    def follow(self, unit, indices):
        counts = torch.bincount(indices, minlength=self.codes).float()
        self.counts.mul_(DECAY).add_(counts, alpha=1 - DECAY)
        self.sums.mul_(DECAY).add_(torch.zeros_like(self.sums).index_add_(0, indices, unit), alpha=1 - DECAY)
        mean = len(unit) / self.codes
        dead = self.counts < DEAD_BELOW * mean
        fresh = unit[torch.randint(len(unit), (self.codes,))]
        self.sums.copy_(torch.where(dead[:, None], fresh * mean, self.sums))
        self.counts.masked_fill_(dead, mean)
        self.codebook.copy_(F.normalize(self.sums, dim=1))


class VqAutoencoder(nn.Module):
    def __init__(self, inputs, outputs, channels, codes, code_dim=16, multipliers=(1, 2, 2), blocks=1, patch=2):
        super().__init__()
        self.encoder, width = encoder(inputs, channels, multipliers, blocks, patch)
        self.quantizer = Quantizer(width, codes, code_dim)
        self.decoder = decoder(outputs, channels, multipliers, blocks, patch)

    def forward(self, planes):
        output, unit, commitment = self.quantizer(self.encoder(planes))
        return self.decoder(output), unit, commitment


def regularizer(zx, zc, samples=1024, directions=50):
    """Sliced Gromov-Wasserstein between equal positions of both sides, as createRegularizer({ estimator: "sliced" })."""
    chosen = torch.randperm(len(zx))[:samples]
    scale = math.sqrt(zx.shape[1] / 2)
    return sliced_gw(F.normalize(zx[chosen], dim=1) * scale, F.normalize(zc[chosen], dim=1) * scale, directions)


class Trainer:
    def __init__(self, layout, precision, compiled):
        self.layout = layout
        self.bfloat16 = precision == "bfloat16"
        self.model = nn.ModuleDict(
            {"image": VqAutoencoder(3, 3, 64, 1024), "condition": VqAutoencoder(CLASSES, CLASSES, 32, 512)}
        ).to(memory_format=layout)
        self.parameters = list(self.model.parameters())
        groups = [
            {"params": [p for p in self.parameters if p.ndim >= 2], "weight_decay": 1e-4},
            {"params": [p for p in self.parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=5e-4, betas=(0.9, 0.99), foreach=True)
        self.forward = torch.compile(self.losses) if compiled else self.losses

    def losses(self, pixels, raster):
        target = (pixels.float().div(127.5).sub(1)).permute(0, 3, 1, 2).contiguous(memory_format=self.layout)
        planes = F.one_hot(raster, CLASSES).float().permute(0, 3, 1, 2).contiguous(memory_format=self.layout)
        with torch.autocast("cpu", torch.bfloat16) if self.bfloat16 else contextlib.nullcontext():
            painted, zx, image_commitment = self.model["image"](target)
            drawn, zc, condition_commitment = self.model["condition"](planes)
        parts = {
            "image": F.l1_loss(painted.float(), target),
            "condition": F.cross_entropy(drawn.float(), raster),
            "regularizer": regularizer(zx, zc),
            "image_commitment": image_commitment,
            "condition_commitment": condition_commitment,
        }
        loss = parts["image"] + parts["condition"] + 0.25 * (image_commitment + condition_commitment)
        return loss + 0.2 * parts["regularizer"], parts

    def step(self, images, classes):
        self.optimizer.zero_grad(set_to_none=True)
        loss, parts = self.forward(torch.from_numpy(images), torch.from_numpy(classes).long())
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        return {"loss": loss.item(), "norm": norm.item(), **{name: part.item() for name, part in parts.items()}}


def peak_mib():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) / 1024


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--layout", choices=["contiguous_format", "channels_last"], default="contiguous_format")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--warmup", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (PAIRS, SIZE, SIZE, 3), dtype=np.uint8)
    classes = random.integers(0, CLASSES, (PAIRS, SIZE, SIZE), dtype=np.uint8)
    trainer = Trainer(getattr(torch, options.layout), options.precision, options.compile)

    def step():
        chosen = random.integers(0, PAIRS, options.batch)
        start = time.perf_counter()
        trainer.step(pixels[chosen], classes[chosen])
        return time.perf_counter() - start

    for _ in range(options.warmup):
        step()
    for _ in range(options.steps):
        seconds = step()
        print(json.dumps({"seconds": seconds, "images/s": options.batch / seconds}), flush=True)
    count = sum(p.numel() for p in trainer.parameters)
    print(json.dumps({"parameters": count, "peakMiB": peak_mib()}))


if __name__ == "__main__":
    main()
