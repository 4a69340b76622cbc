"""Writes the references of the variational regularizer's tests: packages/iqvae/test/goldens/gw.jsonl, one case a line.

Needs torch, numpy and POT (`pip install torch numpy pot`); run as `python3 tools/goldens_gw.py`. Everything is in float64 and
computed the slow and plain way: all pairs by broadcasting, gradients by autograd, plans by POT.
"""
import json
from pathlib import Path

import numpy as np
import ot
import torch

TARGET = Path(__file__).parents[1] / "packages" / "iqvae" / "test" / "goldens" / "gw.jsonl"
torch.set_default_dtype(torch.float64)


def distances(z, kind):
    if kind == "cosine":
        return 1 - torch.nn.functional.cosine_similarity(z[:, None], z[None], dim=2)
    squared = ((z[:, None] - z[None]) ** 2).sum(2)
    if kind == "sqeuclidean":
        return squared
    off_diagonal = 1 - torch.eye(len(z))
    return (squared + 1 - off_diagonal).sqrt() * off_diagonal


def paired(x, c, kind):
    return ((distances(x, kind) - distances(c, kind)) ** 2).mean()


def sliced(x, c, theta):
    def matching(a, b):
        difference = (a[:, None] - a[None]) ** 2 - (b[:, None] - b[None]) ** 2
        return (difference**2).mean()

    costs = []
    for direction in theta:
        a = torch.sort(x @ direction[: x.shape[1]]).values
        b = torch.sort(c @ direction[: c.shape[1]]).values
        costs.append(torch.minimum(matching(a, b), matching(a, b.flip(0))))
    return torch.stack(costs).mean()


def plan_cost(x, c, plan, kind):
    difference = distances(x, kind)[:, None, :, None] - distances(c, kind)[None, :, None, :]  # i, j, k, l
    return torch.einsum("ijkl,ij,kl->", difference**2, plan, plan)


def entropic_plan(x, c, kind, epsilon):
    d_x, d_c = distances(x, kind).numpy(), distances(c, kind).numpy()
    plan = ot.gromov.entropic_gromov_wasserstein(
        d_x, d_c, ot.unif(len(d_x)), ot.unif(len(d_c)), "square_loss", epsilon=epsilon, symmetric=True,
        max_iter=2000, tol=1e-12, solver="PGD", numItermax=20000, stopThr=1e-13, warn=False,
    )
    return torch.from_numpy(np.asarray(plan))


def exact(x, c, kind, start):
    d_x, d_c = distances(x, kind).numpy(), distances(c, kind).numpy()
    return float(ot.gromov.gromov_wasserstein2(d_x, d_c, loss_fun="square_loss", symmetric=True, G0=start))


def with_gradients(function, x, c):
    x, c = x.clone().requires_grad_(), c.clone().requires_grad_()
    value = function(x, c)
    value.backward()
    return {"zX": listed(x.detach()), "zC": listed(c.detach()), "value": value.item(), "gradX": listed(x.grad), "gradC": listed(c.grad)}


def listed(tensor):
    return [[float(f"{value:.12g}") for value in row] for row in tensor.tolist()]


def features(generator, rows, columns, scale=1.0):
    return torch.from_numpy(generator.normal(size=(rows, columns)) * scale)


def main():
    generator = np.random.default_rng(20220727)
    cases = {"paired": [], "sliced": [], "entropic": [], "exact": [], "shuffled": []}
    for kind in ("cosine", "sqeuclidean", "euclidean"):
        for d_x, d_c in ((5, 3), (2, 4)):
            x, c = features(generator, 9, d_x), features(generator, 9, d_c)
            cases["paired"].append({"distance": kind, **with_gradients(lambda a, b: paired(a, b, kind), x, c)})
    for n, d_x, d_c, count in ((2, 3, 2, 4), (17, 5, 3, 6), (40, 2, 6, 8), (30, 1, 1, 1)):
        x, c = features(generator, n, d_x), features(generator, n, d_c, 0.7) + 0.5
        theta = features(generator, count, max(d_x, d_c))
        theta = theta / theta.norm(dim=1, keepdim=True)
        cases["sliced"].append({"theta": listed(theta), **with_gradients(lambda a, b: sliced(a, b, theta), x, c)})
    for kind, epsilon, n, m in (("cosine", 0.2, 12, 9), ("euclidean", 2.0, 10, 10), ("sqeuclidean", 30.0, 8, 11)):
        x, c = features(generator, n, 4), features(generator, m, 3)
        plan = entropic_plan(x, c, kind, epsilon)
        reference = with_gradients(lambda a, b: plan_cost(a, b, plan, kind), x, c)
        cases["entropic"].append({"distance": kind, "epsilon": epsilon, "plan": listed(plan), **reference})
    # The best plan from the coupling that is right for most points, as a bound for the paired cost ...
    for kind in ("cosine", "sqeuclidean", "euclidean"):
        x = features(generator, 10, 4)
        c = x[:, :3] + features(generator, 10, 3, 0.3)
        value = exact(x, c, kind, np.eye(10) / 10)
        cases["exact"].append({"distance": kind, "zX": listed(x), "zC": listed(c), "value": value})
    # ... and for a space that was turned, shuffled and a little shaken.
    for kind in ("cosine", "sqeuclidean", "euclidean"):
        x = features(generator, 14, 3)
        order = generator.permutation(14)
        rotation = torch.from_numpy(np.linalg.qr(generator.normal(size=(3, 3)))[0])
        c = (x @ rotation)[order] + features(generator, 14, 3, 0.03)
        value = exact(x, c, kind, np.eye(14)[:, order] / 14)
        cases["shuffled"].append({"distance": kind, "zX": listed(x), "zC": listed(c), "value": value})
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"suite": suite, **case}) for suite, members in cases.items() for case in members]
    TARGET.write_text("\n".join(lines) + "\n")
    print(f"{TARGET}: {TARGET.stat().st_size / 1000:.0f} kB (torch {torch.__version__}, POT {ot.__version__})")


if __name__ == "__main__":
    main()
