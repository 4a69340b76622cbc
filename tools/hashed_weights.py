"""Weights and pictures from a formula that the tests repeat (packages/iqvae/test/metrics/goldens.ts)."""
import re

import numpy as np


def uniform(count, seed):
    """`count` numbers in [−1, 1): integers hashed by multiplications and shifts, alike in every language."""
    with np.errstate(over="ignore"):
        x = np.arange(count, dtype=np.uint32) + np.uint32(seed) * np.uint32(0x9E3779B9)
        for shift, factor in ((16, 0x21F0AAAD), (15, 0x735A2D97)):
            x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
        x = x ^ (x >> np.uint32(15))
    return (x.astype(np.float64) / 2**31 - 1).astype(np.float32)


def hashed_weights(shapes):
    """Weights of a network by name: kernels keep the scale of activations, spreads stay away from zero."""
    weights = {}
    for seed, (name, shape) in enumerate(sorted(shapes.items()), start=1):
        values = uniform(int(np.prod(shape)), seed).reshape(shape)
        if len(shape) > 1:
            values = values * np.float32(np.sqrt(6 / np.prod(shape[1:])))
            if name.startswith("lin"):
                values = np.abs(values)
            if name.startswith("dsn"):  # the sums go through a sigmoid, and must not drown in it
                values = values * np.float32(0.01)
        elif re.search(r"running_var$|bn\d*\.weight$", name):
            values = 1 + values / 2
        else:
            values = values / 10
        weights[name] = np.ascontiguousarray(values, dtype=np.float32)
    return weights


def picture(height, width):
    """RGB bytes `[height, width, 3]`: slopes, edges and curves."""
    y, x, c = np.indices((height, width, 3))
    return ((5 * y + (c + 1) * (3 * x + (x * y >> 3))) % 256).astype(np.uint8)
