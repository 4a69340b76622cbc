"""Sliced Gromov-Wasserstein in PyTorch: vectorized over directions, gradients by autograd.

Written as a PyTorch user would: one matrix product a side, one batched sort a side, both matchings from power sums.
POT has no sliced Gromov-Wasserstein solver to compare with (0.9.7). Prints one JSON line a repeat.
"""
import argparse
import json
import time

import torch


def matching_cost(x, y):
    """Mean over pairs of ((x_i - x_j)^2 - (y_i - y_j)^2)^2 for matched, centered rows [L, n]: the binomial expansion."""
    n = x.shape[1]
    x2, y2 = x * x, y * y
    sum_x2, sum_y2 = x2.sum(1), y2.sum(1)
    u = x2 - y2
    total = 2 * n * (u * u).sum(1) + 2 * u.sum(1) ** 2
    total = total + 4 * (sum_x2**2 + sum_y2**2 - 2 * (x * y).sum(1) ** 2)
    return total / n**2


def sliced_gw(zx, zc, directions):
    theta = torch.randn(max(zx.shape[1], zc.shape[1]), directions)
    theta = theta / theta.norm(dim=0, keepdim=True)
    x = (zx @ theta[: zx.shape[1]]).t()
    y = (zc @ theta[: zc.shape[1]]).t()
    x = torch.sort(x - x.mean(1, keepdim=True), dim=1).values
    y = torch.sort(y - y.mean(1, keepdim=True), dim=1).values
    return torch.minimum(matching_cost(x, y), matching_cost(x, y.flip(1))).mean()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--inner", type=int, default=10, help="passes that make up one repeat")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    zx = torch.randn(4096, 32, requires_grad=True)
    zc = torch.randn(4096, 16, requires_grad=True)

    def once():
        zx.grad = zc.grad = None
        sliced_gw(zx, zc, 50).backward()

    for _ in range(5):
        once()
    for _ in range(options.repeats):
        start = time.perf_counter()
        for _ in range(options.inner):
            once()
        print(json.dumps({"seconds": (time.perf_counter() - start) / options.inner}), flush=True)


if __name__ == "__main__":
    main()
