"""Asks ONNX's own checker about exported folders, types and shapes included.

    pip install onnx
    python3 tools/check-onnx.py FOLDER…
"""

import sys
from pathlib import Path

import onnx

GRAPHS = ("condition.onnx", "transformer.onnx", "step.onnx", "image.onnx")


def main(folders):
    if not folders:
        sys.exit(__doc__)
    for folder in folders:
        for name in GRAPHS:
            path = str(Path(folder) / name)
            # By path, so that the external data are looked for as well.
            onnx.checker.check_model(path, full_check=True)
            graph = onnx.load(path, load_external_data=False).graph
            print(f"{path}: {len(graph.node)} nodes, {len(graph.initializer)} tensors")


main(sys.argv[1:])
