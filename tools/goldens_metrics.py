"""Writes the references of the metrics' tests: packages/iqvae/test/goldens/metrics.safetensors.

Needs torch, torchvision, numpy, scipy, scikit-image, pytorch-fid, lpips and safetensors; run as
`python3 tools/goldens_metrics.py`. Nothing is downloaded: networks get weights from a formula that the tests repeat.

Each figure comes from the package that people cite it by, and where there is none (SWD, precision and recall, the edge score)
from a plain numpy version of the paper's text.
"""
from pathlib import Path

import lpips
import numpy as np
import pytorch_fid.inception as fid_inception
import scipy.ndimage
import skimage.metrics
import torch
import torchvision
from pytorch_fid.fid_score import calculate_frechet_distance
from hashed_weights import hashed_weights as numpy_weights
from safetensors.numpy import save_file

TARGET = Path(__file__).parents[1] / "packages" / "iqvae" / "test" / "goldens" / "metrics.safetensors"
generator = np.random.default_rng(20181)


def hashed_weights(shapes):
    return {name: torch.from_numpy(values) for name, values in numpy_weights(shapes).items()}


def shapes_of(state):
    skipped = ("num_batches_tracked", "fc.weight", "fc.bias")
    return {name: tuple(value.shape) for name, value in state.items() if not name.endswith(skipped)}


def images(*shape):
    """Smooth random pictures: noise alone is no test of similarity."""
    noise = generator.normal(size=(*shape, 3))
    smooth = np.stack([scipy.ndimage.gaussian_filter(x, (2, 2, 0)) for x in noise])
    return np.clip(127.5 + 400 * smooth, 0, 255).astype(np.uint8)


def frechet(out):
    for name, n, m, d in (("full", 60, 50, 8), ("singular", 6, 7, 10)):
        mixing = generator.normal(size=(d, d))
        a = generator.normal(size=(n, d)) @ mixing + 5
        b = generator.normal(size=(m, d)) + 5.3
        out[f"frechet/{name}/a"], out[f"frechet/{name}/b"] = a, b
        moments = [(x.mean(0), np.cov(x, rowvar=False)) for x in (a, b)]
        value = calculate_frechet_distance(moments[0][0], moments[0][1], moments[1][0], moments[1][1])
        out[f"frechet/{name}/value"] = np.array([value])


def precision_recall(out):
    a, b = generator.normal(size=(70, 5)), generator.normal(size=(70, 5)) * 0.8 + 0.5
    out["pr/a"], out["pr/b"] = a, b

    def share(points, manifold):
        own = np.sort(np.linalg.norm(manifold[:, None] - manifold[None], axis=2), axis=1)[:, 3]
        apart = np.linalg.norm(points[:, None] - manifold[None], axis=2)
        return (apart <= own[None]).any(1).mean()

    out["pr/value"] = np.array([share(b, a), share(a, b)])


def reconstruction(out):
    a = images(3, 24, 20)
    b = np.clip(a + generator.normal(scale=12, size=a.shape), 0, 255).astype(np.uint8)
    out["pixels/a"], out["pixels/b"] = a, b
    out["pixels/psnr"] = np.array([skimage.metrics.peak_signal_noise_ratio(x, y) for x, y in zip(a, b)])
    out["pixels/ssim"] = np.array([
        skimage.metrics.structural_similarity(
            x, y, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
        )
        for x, y in zip(a, b)
    ])


def swd(out):
    line = np.array([1, 4, 6, 4, 1]) / 16
    kernel = np.outer(line, line)
    filtered = lambda x, gain: np.stack([  # noqa: E731
        [scipy.ndimage.convolve(channel, gain * kernel, mode="mirror") for channel in image] for image in x
    ])

    def doubled(x):
        sparse = np.zeros((*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3]))
        sparse[:, :, ::2, ::2] = x
        return filtered(sparse, 4)

    planes = generator.normal(size=(2, 3, 16, 16))
    out["pyramid/input"] = planes
    for level in range(2):
        coarse = filtered(planes, 1)[:, :, ::2, ::2]
        out[f"pyramid/{level}"] = planes - doubled(coarse)
        planes = coarse
    out["pyramid/2"] = planes

    a = generator.normal(size=(90, 3, 49)) * np.array([1, 2, 3])[:, None] + 4
    b = generator.exponential(size=(90, 3, 49))
    theta = generator.normal(size=(147, 24))
    theta /= np.linalg.norm(theta, axis=0)
    normal = lambda x: ((x - x.mean((0, 2), keepdims=True)) / x.std((0, 2), keepdims=True)).reshape(len(x), -1)  # noqa: E731
    distance = np.abs(np.sort(normal(a) @ theta, axis=0) - np.sort(normal(b) @ theta, axis=0)).mean()
    out["swd/a"], out["swd/b"], out["swd/directions"] = a.reshape(90, -1), b.reshape(90, -1), theta
    out["swd/value"] = np.array([distance])


def vgg(out):
    model = lpips.LPIPS(net="vgg", pretrained=False, pnet_rand=True, verbose=False).eval()
    backbone = torchvision.models.vgg16(weights=None).features.eval()
    shapes = {f"features.{name}": shape for name, shape in shapes_of(backbone.state_dict()).items()}
    shapes |= {f"lin{i}.model.1.weight": (1, c, 1, 1) for i, c in enumerate((64, 128, 256, 512, 512))}
    weights = hashed_weights(shapes)
    backbone.load_state_dict({name[9:]: w for name, w in weights.items() if name.startswith("features.")})
    # LPIPS cuts torchvision's layers into five slices and keeps their numbers.
    state = {}
    for name in model.state_dict():
        if name.startswith("net."):
            state[name] = weights["features." + name.split(".", 2)[2]]
        elif name.startswith("scaling_layer"):
            state[name] = model.state_dict()[name]
        else:
            index = name[3] if not name.startswith("lins") else name[5]
            state[name] = weights[f"lin{index}.model.1.weight"]
    model.load_state_dict(state)
    a, b = images(2, 32, 32), images(2, 32, 32)
    x, y = (torch.from_numpy(z).permute(0, 3, 1, 2).float() / 127.5 - 1 for z in (a, b))
    x.requires_grad_()
    distance = model(x, y).flatten()
    distance.sum().backward()
    with torch.no_grad():
        features = model.net.slice5(
            model.net.slice4(model.net.slice3(model.net.slice2(model.net.slice1(model.scaling_layer(x)))))
        )
    out["vgg/a"], out["vgg/b"] = a, b
    out["vgg/distance"], out["vgg/gradient"] = distance.detach().numpy(), x.grad.numpy()
    out["vgg/features"] = features.mean((2, 3)).numpy()
    ours = backbone(model.scaling_layer(x).detach())
    pooled = torch.nn.functional.max_pool2d(features, 2)
    assert torch.allclose(ours, pooled, atol=1e-4), "the LPIPS package and torchvision disagree"


def inception(out):
    model = fid_inception._inception_v3(num_classes=1008, aux_logits=False, pretrained=False)
    # The shapes are those of the patched network, which differs from torchvision's in its pooling alone.
    weights = hashed_weights(shapes_of(model.state_dict()))
    full = {name: weights.get(name, torch.zeros_like(value)) for name, value in model.state_dict().items()}
    fid_inception.load_state_dict_from_url = lambda *_, **__: full
    network = fid_inception.InceptionV3([0, 1, 2, 3], resize_input=True, normalize_input=True, use_fid_inception=True).eval()
    a = images(2, 40, 40)
    with torch.no_grad():
        blocks = network(torch.from_numpy(a).permute(0, 3, 1, 2).float() / 255)
    out["inception/pixels"] = a
    out["inception/features"] = blocks[3].flatten(1).numpy()
    for i in range(3):
        out[f"inception/block{i}"] = blocks[i].mean((2, 3)).numpy()


def main():
    out = {}
    for part in (frechet, precision_recall, reconstruction, swd, vgg, inception):
        part(out)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(value) for name, value in out.items()}, TARGET)
    print(f"{TARGET}: {TARGET.stat().st_size / 1000:.0f} kB (torch {torch.__version__})")


if __name__ == "__main__":
    main()
