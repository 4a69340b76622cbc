"""Reads and checks the pairs of import.mjs with PIL and numpy on one core, and writes them to one file.

Written as a preparation script usually is: open, convert, resize, check the labels, append the bytes.
Prints one JSON line a repeat.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile
import time

import numpy as np
from PIL import Image

CLASSES = 20


def read_pair(image_path, map_path, size):
    with Image.open(image_path) as image, Image.open(map_path) as labels:
        if image.size != labels.size:
            raise ValueError(f"{map_path}: {labels.size} pixels, but the image has {image.size}")
        all_labels = np.asarray(labels)
        if all_labels.ndim != 2 or all_labels.max() >= CLASSES:
            raise ValueError(f"{map_path}: label {all_labels.max()} of {CLASSES} classes")
        small = labels.resize((size, size), Image.NEAREST)
        picture = image.convert("RGB").resize((size, size), Image.LANCZOS)
        return np.asarray(picture), np.asarray(small)


def import_pairs(folder, out, size):
    images = {path.stem: path for path in (folder / "image").iterdir()}
    maps = {path.stem: path for path in (folder / "condition").iterdir()}
    count = 0
    with open(out, "wb") as file:
        for name in sorted(images.keys() & maps.keys()):
            try:
                picture, labels = read_pair(images[name], maps[name], size)
            except (OSError, ValueError) as error:
                print(f"{name}: {error}")
                continue
            file.write(picture.tobytes())
            file.write(labels.tobytes())
            count += 1
    return count


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="not used: one core is the comparison")
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--size", type=int, default=128)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        maker = pathlib.Path(__file__).parent.parent / "import.mjs"
        subprocess.run(["node", str(maker), "--make", name, "--pairs", str(options.pairs)], check=True)
        for _ in range(options.repeats):
            start, used = time.perf_counter(), time.process_time()
            count = import_pairs(folder, folder / "pairs.bin", options.size)
            seconds, used = time.perf_counter() - start, time.process_time() - used
            if count != options.pairs:
                raise SystemExit(f"{count} of {options.pairs} pairs were read")
            print(json.dumps({"pairs/s": count / seconds, "cpu ms/pair": 1000 * used / count}), flush=True)


if __name__ == "__main__":
    main()
