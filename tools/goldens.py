"""Writes the golden files that packages/torch/test compares with, by PyTorch and the reference safetensors.

    pip install -r tools/requirements.txt
    python3 tools/goldens.py

Small files, committed: the tests need no Python.
"""

import pathlib

import golden_criteria
import golden_drawn
import golden_modules
import golden_nn
import golden_ops
import golden_safetensors

FOLDER = pathlib.Path(__file__).parent.parent / "packages" / "torch" / "test" / "goldens"

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for part in (golden_safetensors, golden_ops, golden_nn, golden_modules, golden_criteria, golden_drawn):
        part.write(FOLDER)
    for file in sorted(FOLDER.iterdir()):
        print(f"{file.stat().st_size:>8} {file.name}")
