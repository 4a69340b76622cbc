"""Cases of operators: inputs, outputs, and the gradients of sum(output * cos(0, 1, 2, ...)) by every float input.

A case has the same name in test/ops.test.ts, which calls the operator from TypeScript. One line a case.
"""

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

generator = torch.Generator().manual_seed(1)
cases = {}


def r(*shape, dtype=torch.float32):
    """Normal numbers."""
    return torch.randn(shape, generator=generator).to(dtype)


def p(*shape):
    """Numbers in [0.3, 2.3], for logarithms and divisions."""
    return torch.rand(shape, generator=generator) * 2 + 0.3


def i(high, *shape):
    """Integers below `high`."""
    return torch.randint(high, shape, generator=generator)


def case(name, call, *inputs, gradient=True):
    cases[name] = (call, inputs, gradient)
    generator.manual_seed(1)  # a case that is added changes no other


def run(call, inputs, gradient):
    """Outputs, and gradients by input index."""
    leaves = [x.clone().requires_grad_(gradient and x.is_floating_point()) for x in inputs]
    outputs = call(*leaves)
    outputs = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
    gradients = {}
    loss = sum(weighted(y) for y in outputs if y.is_floating_point() and y.requires_grad)
    if isinstance(loss, torch.Tensor):
        loss.backward()
        gradients = {n: leaf.grad for n, leaf in enumerate(leaves) if leaf.grad is not None}
    return [y.detach() for y in outputs], gradients


def weighted(y):
    return (y.float() * torch.arange(y.numel()).cos().reshape(y.shape)).sum()


def write(folder):
    tensors = {}
    for name, (call, inputs, gradient) in cases.items():
        outputs, gradients = run(call, inputs, gradient)
        for n, x in enumerate(inputs):
            tensors[f"{name}/input/{n}"] = x.contiguous()
        for n, y in enumerate(outputs):
            tensors[f"{name}/output/{n}"] = y.contiguous()
        for n, g in gradients.items():
            tensors[f"{name}/gradient/{n}"] = g.contiguous()
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, folder / "ops.safetensors")


# Convolutions and what else images need.
case("conv2d", lambda x, w, b: F.conv2d(x, w, b), r(2, 3, 6, 5), r(4, 3, 3, 3), r(4))
case("conv2d stride 2 padding 1", lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1), r(2, 3, 8, 8), r(4, 3, 3, 3), r(4))
case("conv2d stride and padding by axis", lambda x, w: F.conv2d(x, w, None, stride=(1, 2), padding=(2, 0)), r(1, 2, 5, 7), r(3, 2, 3, 3))
case("conv2d groups", lambda x, w, b: F.conv2d(x, w, b, padding=1, groups=2), r(2, 4, 5, 5), r(6, 2, 3, 3), r(6))
case("conv2d depthwise dilated", lambda x, w: F.conv2d(x, w, None, padding=2, dilation=2, groups=4), r(1, 4, 6, 6), r(4, 1, 3, 3))
case("conv2d 1x1", lambda x, w, b: F.conv2d(x, w, b), r(2, 5, 4, 4), r(3, 5, 1, 1), r(3))
case("conv2d channels_last", lambda x, w, b: F.conv2d(x.to(memory_format=torch.channels_last), w.to(memory_format=torch.channels_last), b, padding=1), r(2, 4, 6, 6), r(4, 4, 3, 3), r(4))
case("conv1d", lambda x, w, b: F.conv1d(x, w, b, stride=2, padding=1), r(2, 3, 9), r(4, 3, 3), r(4))
case("conv_transpose2d", lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1), r(2, 3, 4, 4), r(3, 4, 3, 3), r(4))
case("pixel_shuffle", lambda x: F.pixel_shuffle(x, 2), r(2, 8, 3, 3))
case("pixel_unshuffle", lambda x: F.pixel_unshuffle(x, 2), r(2, 2, 4, 4))
case("upsample_nearest2d", lambda x: F.interpolate(x, scale_factor=2, mode="nearest"), r(2, 2, 3, 4))
case("upsample_bilinear2d", lambda x: F.interpolate(x, size=(7, 9), mode="bilinear", align_corners=False), r(1, 2, 4, 5))
case("upsample_bilinear2d smaller", lambda x: F.interpolate(x, size=(3, 3), mode="bilinear", align_corners=False), r(1, 2, 8, 8))
case("upsample_bicubic2d", lambda x: F.interpolate(x, size=(6, 6), mode="bicubic", align_corners=False), r(1, 2, 4, 4))
case("avg_pool2d", lambda x: F.avg_pool2d(x, 2), r(2, 3, 6, 6))
case("avg_pool2d padded", lambda x: F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False), r(1, 2, 7, 7))
case("adaptive_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, 1), r(2, 3, 5, 5))
case("max_pool2d", lambda x: F.max_pool2d(x, 2), r(2, 3, 6, 6))
case("pad constant", lambda x: F.pad(x, (1, 2, 0, 1), value=0.5), r(1, 2, 3, 3))
case("pad reflect", lambda x: F.pad(x, (1, 2, 2, 1), mode="reflect"), r(1, 2, 4, 4))
case("unfold", lambda x: F.unfold(x, 3, padding=1), r(1, 2, 4, 4))
case("flip", lambda x: x.flip([3]), r(1, 2, 3, 4))
case("roll", lambda x: x.roll((1, -1), (0, 1)), r(3, 4))

# Matrix products.
case("linear", lambda x, w, b: F.linear(x, w, b), r(2, 3, 5), r(4, 5), r(4))
case("linear without bias", lambda x, w: F.linear(x, w), r(6, 5), r(4, 5))
case("mm", lambda a, b: a @ b, r(3, 4), r(4, 5))
case("matmul broadcast", lambda a, b: a @ b, r(2, 1, 3, 4), r(3, 4, 2))
case("matmul vector", lambda a, b: a @ b, r(3, 4), r(4))
case("bmm", lambda a, b: torch.bmm(a, b), r(3, 2, 4), r(3, 4, 5))
case("addmm", lambda c, a, b: torch.addmm(c, a, b, beta=0.5, alpha=2), r(3, 5), r(3, 4), r(4, 5))
case("baddbmm", lambda c, a, b: torch.baddbmm(c, a, b, alpha=0.25), r(2, 3, 5), r(2, 3, 4), r(2, 4, 5))
case("outer", lambda a, b: torch.outer(a, b), r(3), r(4))
case("dot", lambda a, b: torch.dot(a, b), r(6), r(6))
case("einsum", lambda a, b: torch.einsum("bij,bkj->bik", a, b), r(2, 3, 4), r(2, 5, 4))
case("einsum three", lambda a, b, c: torch.einsum("ij,jk,lk->il", a, b, c), r(2, 3), r(3, 4), r(5, 4))
case("cdist", lambda a, b: torch.cdist(a, b), r(4, 3), r(5, 3))
case("attention", lambda q, k, v: F.scaled_dot_product_attention(q, k, v), r(2, 2, 5, 4), r(2, 2, 6, 4), r(2, 2, 6, 4))
case("attention causal", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), r(2, 2, 5, 4), r(2, 2, 5, 4), r(2, 2, 5, 4))

# Tables and indices.
case("embedding", lambda w, n: F.embedding(n, w), r(7, 3), i(7, 2, 5))
case("index_select", lambda x, n: x.index_select(1, n), r(3, 5, 2), i(5, 4))
case("gather", lambda x, n: x.gather(1, n), r(3, 5), i(5, 3, 4))
case("index", lambda x, a, b: x[a, b], r(4, 5, 2), i(4, 6), i(5, 6))
case("index of second dimension", lambda x, n: x[:, n], r(3, 5), i(5, 2, 2))
case("index_put", lambda x, n, v: x.index_put((n,), v), r(5, 2), torch.tensor([3, 0]), r(2, 2))
case("index_put accumulate", lambda x, n, v: x.index_put((n,), v, accumulate=True), r(5, 2), torch.tensor([3, 0, 3]), r(3, 2))
case("index_add", lambda x, n, v: x.index_add(0, n, v, alpha=2), r(4, 3), i(4, 6), r(6, 3))
case("scatter", lambda x, n, v: x.scatter(1, n, v), r(2, 5), torch.tensor([[0, 3], [4, 1]]), r(2, 2))
case("scatter_add", lambda x, n, v: x.scatter_add(0, n, v), r(4, 3), i(4, 6, 3), r(6, 3))
case("one_hot", lambda n: F.one_hot(n, 5), i(5, 3, 2))
case("bincount", lambda n: torch.bincount(n, minlength=6), i(6, 20))
case("sort", lambda x: x.sort(-1), r(3, 7))
case("sort descending", lambda x: x.sort(0, descending=True), r(5, 2))
case("argsort", lambda x: x.argsort(-1), r(3, 7))
case("topk", lambda x: x.topk(3, -1), r(2, 8))
case("argmax", lambda x: x.argmax(1), r(4, 6))
case("argmin keepdim", lambda x: x.argmin(0, keepdim=True), r(4, 6))
case("unique", lambda n: torch.unique(n, sorted=True, return_inverse=True, return_counts=True), i(4, 10))
case("searchsorted", lambda s, x: torch.searchsorted(s, x), torch.linspace(-2, 2, 6), r(9))
case("nonzero", lambda x: (x > 0).nonzero(), r(3, 4))

# Shapes.
case("cat", lambda a, b: torch.cat([a, b], 1), r(2, 3), r(2, 2))
case("stack", lambda a, b: torch.stack([a, b], -1), r(2, 3), r(2, 3))
case("split", lambda x: x.split(2, 1), r(2, 5))
case("split_with_sizes", lambda x: x.split([1, 3, 2], 0), r(6, 2))
case("chunk", lambda x: x.chunk(3, -1), r(2, 6))
case("unbind", lambda x: x.unbind(1), r(2, 3, 2))
case("permute", lambda x: x.permute(2, 0, 1).contiguous(), r(2, 3, 4))
case("transpose", lambda x: x.transpose(1, 2) * 2, r(2, 3, 4))
case("reshape", lambda x: x.reshape(4, -1), r(2, 3, 4))
case("view flatten", lambda x: x.flatten(1), r(2, 3, 4))
case("squeeze", lambda x: x.squeeze(1).unsqueeze(0), r(2, 1, 3))
case("expand", lambda x: x.expand(3, 2, 4), r(2, 1))
case("repeat", lambda x: x.repeat(2, 3), r(2, 2))
case("repeat_interleave", lambda x: x.repeat_interleave(3, 0), r(2, 2))
case("slice", lambda x: x[:, 1:5:2], r(2, 6))
case("select", lambda x: x.select(1, 2), r(2, 4, 3))
case("narrow", lambda x: x.narrow(0, 1, 2), r(4, 3))
case("tril", lambda x: x.tril(-1), r(4, 4))
case("triu", lambda x: x.triu(1), r(4, 4))
case("diagonal", lambda x: x.diagonal(), r(3, 4))
case("where", lambda x, y: torch.where(x > 0, x, y), r(3, 4), r(3, 4))
case("masked_fill", lambda x, y: x.masked_fill(y > 0, -1.5), r(3, 4), r(3, 4))
case("masked_select", lambda x, y: x.masked_select(y > 0), r(3, 4), r(3, 4))

# Normalization and activations.
case("layer_norm", lambda x, w, b: F.layer_norm(x, (6,), w, b, 1e-5), r(2, 3, 6), r(6), r(6))
case("layer_norm plain", lambda x: F.layer_norm(x, (3, 6)), r(2, 3, 6))
case("group_norm", lambda x, w, b: F.group_norm(x, 2, w, b, 1e-5), r(2, 4, 3, 3), r(4), r(4))
case("group_norm silu", lambda x, w, b: F.silu(F.group_norm(x, 2, w, b, 1e-5)), r(2, 4, 3, 3), r(4), r(4))
case("batch_norm", lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), r(4, 3, 2, 2), r(3), r(3))
case("softmax", lambda x: x.softmax(-1), r(3, 5))
case("softmax with -inf", lambda x: x.masked_fill(torch.ones(4, 4).triu(1).bool(), float("-inf")).softmax(-1), r(4, 4))
case("log_softmax", lambda x: x.log_softmax(1), r(3, 5))
case("logsumexp", lambda x: x.logsumexp([1]), r(3, 5))
case("normalize", lambda x: F.normalize(x, dim=1), r(3, 5))
case("linalg_vector_norm", lambda x: torch.linalg.vector_norm(x, 2, (1,), keepdim=True), r(3, 5))
case("linalg_vector_norm 1", lambda x: torch.linalg.vector_norm(x, 1), r(3, 5))
case("norm", lambda x: x.norm(), r(3, 5))
case("gelu", lambda x: F.gelu(x), r(4, 5))
case("gelu tanh", lambda x: F.gelu(x, approximate="tanh"), r(4, 5))
case("silu", lambda x: F.silu(x), r(4, 5))
case("relu", lambda x: F.relu(x), r(4, 5))
case("leaky_relu", lambda x: F.leaky_relu(x, 0.2), r(4, 5))
case("softplus", lambda x: F.softplus(x), r(4, 5))
case("logsigmoid", lambda x: F.logsigmoid(x), r(4, 5))
case("elu", lambda x: F.elu(x), r(4, 5))
case("hardtanh", lambda x: F.hardtanh(x), r(4, 5))
case("glu", lambda x: F.glu(x, -1), r(4, 6))
case("tanh", lambda x: x.tanh(), r(4, 5))
case("sigmoid", lambda x: x.sigmoid(), r(4, 5))

# Losses.
case("cross_entropy", lambda x, y: F.cross_entropy(x, y), r(4, 6), i(6, 4))
case("cross_entropy ignored, smoothed", lambda x, y: F.cross_entropy(x, y, ignore_index=2, label_smoothing=0.1), r(6, 5), torch.tensor([2, 0, 4, 2, 1, 3]))
case("cross_entropy of maps, weighted, summed", lambda x, y, w: F.cross_entropy(x, y, w.detach(), reduction="sum"), r(2, 3, 4, 4), i(3, 2, 4, 4), p(3))
case("cross_entropy of distributions", lambda x, y: F.cross_entropy(x, y.softmax(1)), r(4, 6), r(4, 6))
case("nll_loss", lambda x, y: F.nll_loss(x.log_softmax(1), y, reduction="none"), r(4, 6), i(6, 4))
case("binary_cross_entropy_with_logits", lambda x, y: F.binary_cross_entropy_with_logits(x, y.sigmoid().detach()), r(3, 4), r(3, 4))
case("kl_div", lambda x, y: F.kl_div(x.log_softmax(-1), y.softmax(-1), reduction="sum"), r(3, 4), r(3, 4))
case("mse_loss", lambda x, y: F.mse_loss(x, y), r(3, 4), r(3, 4))
case("l1_loss", lambda x, y: F.l1_loss(x, y, reduction="sum"), r(3, 4), r(3, 4))
case("smooth_l1_loss", lambda x, y: F.smooth_l1_loss(x, y, beta=0.5), r(3, 4), r(3, 4))
case("huber_loss", lambda x, y: F.huber_loss(x, y, delta=0.7), r(3, 4), r(3, 4))

# Element by element.
case("add alpha", lambda x, y: torch.add(x, y, alpha=0.5), r(3, 4), r(4))
case("sub", lambda x, y: x - y, r(3, 1), r(4))
case("rsub", lambda x: 2 - x, r(3, 4))
case("mul", lambda x, y: x * y, r(3, 4), r(3, 1))
case("div", lambda x, y: x / y, r(3, 4), p(4))
case("div floor", lambda x, y: torch.div(x, y, rounding_mode="floor"), r(3, 4), p(4))
case("neg", lambda x: -x, r(3, 4))
case("reciprocal", lambda x: x.reciprocal(), p(3, 4))
case("exp", lambda x: x.exp(), r(3, 4))
case("expm1", lambda x: x.expm1(), r(3, 4))
case("log", lambda x: x.log(), p(3, 4))
case("log1p", lambda x: x.log1p(), p(3, 4))
case("sqrt", lambda x: x.sqrt(), p(3, 4))
case("rsqrt", lambda x: x.rsqrt(), p(3, 4))
case("square", lambda x: x.square(), r(3, 4))
case("abs", lambda x: x.abs(), r(3, 4))
case("sign", lambda x: x.sign(), r(3, 4))
case("sin", lambda x: x.sin(), r(3, 4))
case("cos", lambda x: x.cos(), r(3, 4))
case("erf", lambda x: x.erf(), r(3, 4))
case("pow scalar", lambda x: x**3, r(3, 4))
case("pow fraction", lambda x: x**0.5, p(3, 4))
case("pow tensor", lambda x, y: x**y, p(3, 4), r(3, 4))
case("pow of scalar", lambda x: 2**x, r(3, 4))
case("atan2", lambda x, y: torch.atan2(x, y), r(3, 4), r(3, 4))
case("clamp", lambda x: x.clamp(-0.5, 0.7), r(3, 4))
case("clamp_min", lambda x: x.clamp(min=0.1), r(3, 4))
case("floor", lambda x: x.floor(), r(3, 4))
case("round", lambda x: x.round(), r(3, 4))
case("remainder", lambda x: x.remainder(0.7), r(3, 4))
case("maximum", lambda x, y: torch.maximum(x, y), r(3, 4), r(3, 4))
case("minimum", lambda x, y: torch.minimum(x, y), r(3, 4), r(3, 4))
case("lerp", lambda x, y: torch.lerp(x, y, 0.3), r(3, 4), r(3, 4))
case("addcmul", lambda x, y, z: torch.addcmul(x, y, z, value=0.5), r(3, 4), r(3, 4), r(3, 4))
case("addcdiv", lambda x, y, z: torch.addcdiv(x, y, z, value=0.5), r(3, 4), r(3, 4), p(3, 4))
case("comparisons", lambda x, y: (x > y, x <= y, x == x, x != y, x > 0, (x > 0) & (y > 0), (x > 0) | (y > 0), ~(x > 0)), r(3, 4), r(3, 4))
case("isnan and friends", lambda x: ((x / 0).isinf(), (x * float("nan")).isnan(), x.isfinite()), r(3, 4))
case("integers", lambda n, m: (n + m, n * 3, n // 2, n % 3, -n, n.pow(2), n << 1), i(9, 4), i(9, 4))
case("to dtypes", lambda x: (x.double(), x.to(torch.bfloat16), x.half(), x.long(), x.int(), x.bool()), r(3, 4), gradient=False)

# Reductions.
case("sum", lambda x: x.sum(), r(3, 4))
case("sum dims", lambda x: x.sum((0, 2), keepdim=True), r(2, 3, 4))
case("mean", lambda x: x.mean(), r(3, 4))
case("mean dims", lambda x: x.mean((1, 2)), r(2, 3, 4))
case("var", lambda x: x.var(), r(3, 4))
case("var dims biased", lambda x: x.var((1,), correction=0, keepdim=True), r(3, 4))
case("std", lambda x: x.std(0), r(5, 3))
case("var_mean", lambda x: torch.var_mean(x, (0,)), r(5, 3))
case("prod", lambda x: x.prod(1), r(3, 4))
case("max", lambda x: x.max(), r(3, 4))
case("max dim", lambda x: x.max(1), r(3, 4))
case("min dim keepdim", lambda x: x.min(0, keepdim=True), r(3, 4))
case("amax", lambda x: x.amax((0, 2)), r(2, 3, 4))
case("amin", lambda x: x.amin((1,), keepdim=True), r(2, 3))
case("cumsum", lambda x: x.cumsum(1), r(3, 5))
case("cumprod", lambda x: x.cumprod(0), r(4, 3))
case("any all", lambda x: ((x > 0).any(), (x > 0).all(1)), r(3, 4))
case("median", lambda x: x.median(1), r(3, 5))

# Makers.
case("arange", lambda x: (torch.arange(5), torch.arange(2, 11, 3), torch.arange(0.5, 2, 0.25)), r(1), gradient=False)
case("linspace eye full", lambda x: (torch.linspace(-1, 1, 7), torch.eye(3, 4), torch.full((2, 2), 3), torch.full((2,), 0.5)), r(1), gradient=False)
case("likes", lambda x: (torch.zeros_like(x), torch.ones_like(x, dtype=torch.int64), torch.full_like(x, 7)), r(2, 3), gradient=False)
case("meshgrid", lambda x, y: torch.meshgrid(x, y, indexing="ij"), r(3), r(2))
case("cholesky", lambda x: torch.linalg.cholesky(x @ x.T + torch.eye(4)), r(4, 4))
case("eigh values", lambda x: torch.linalg.eigvalsh(x @ x.T), r(4, 4))
case("svd values", lambda x: torch.linalg.svdvals(x), r(4, 3))
case("qr reconstruction", lambda x: torch.matmul(*torch.linalg.qr(x)), r(4, 3))
case("fft", lambda x: torch.view_as_real(torch.fft.rfft(x)), r(2, 8))
