"""Writes what sketched lines are thinned to: packages/iqvae/test/goldens/thinned.json.

Needs scikit-image, which draws random strokes, discs, rings and noise, and opencv-contrib-python-headless, which thins them by the
method of Zhang and Suen; run as `python3 tools/goldens_thinning.py`. Each row of a drawing and of its skeleton is a text, `#` where
there is ink.
"""
import json
import pathlib

import cv2
import numpy as np
from skimage.draw import circle_perimeter, disk, line
from skimage.morphology import dilation

TARGET = pathlib.Path(__file__).parents[1] / "packages" / "iqvae" / "test" / "goldens" / "thinned.json"
SIZE = 32


def drawing(seed):
    random = np.random.default_rng(seed)
    ink = np.zeros((SIZE, SIZE), bool)
    for _ in range(4):
        ink[line(*random.integers(0, SIZE, 4))] = True
        ink[circle_perimeter(*random.integers(4, SIZE - 4, 2), random.integers(2, 10), shape=ink.shape)] = True
    if seed % 2:
        ink = dilation(ink, np.ones((2 + seed % 3, 2 + seed % 3)))
    ink[disk(random.integers(4, SIZE - 4, 2), random.integers(1, 6), shape=ink.shape)] = True
    return ink | (random.random(ink.shape) < 0.02 * (seed % 4))


def thinned(ink):
    # OpenCV leaves the outermost pixels alone: a margin keeps them apart from those of the drawing.
    bytes_ = np.pad(ink, 1).astype(np.uint8) * 255
    return cv2.ximgproc.thinning(bytes_, thinningType=cv2.ximgproc.THINNING_ZHANGSUEN)[1:-1, 1:-1] > 0


def rows(ink):
    return ["".join("#" if value else "." for value in row) for row in ink]


drawings = [drawing(seed) for seed in range(6)]
pairs = [{"ink": rows(ink), "thinned": rows(thinned(ink))} for ink in drawings]
TARGET.write_text(json.dumps(pairs, indent=2) + "\n")
