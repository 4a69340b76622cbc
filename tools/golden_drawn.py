"""Layers, losses and optimizers of PyTorch with options drawn at random; test/drawn.test.ts of packages/torch does the same.

What goes in follows from a formula. Of what comes out a mark is kept: the sum of all elements, weighted by cos(0, 1, 2, ...).
"""

import json
import math
import random

import torch
from torch import nn

draw = random.Random(1)
pick = draw.choice


def values(shape, seed, dtype=torch.float32):
    """Numbers in [-1, 1]."""
    return (1.3 * torch.arange(math.prod(shape), dtype=torch.float64) + seed).cos().reshape(shape).to(dtype)


def mark(x):
    x = x.detach().double()
    return float(f"{float((x * torch.arange(x.numel(), dtype=torch.float64).cos().reshape(x.shape)).sum()):.10g}")


def backward(outputs):
    sum((y.double() * torch.arange(y.numel(), dtype=torch.float64).cos().reshape(y.shape)).sum() for y in outputs).backward()


def laid(x, layout):
    """The same numbers in another order in memory."""
    if layout == "turned" and x.ndim >= 2:
        return x.transpose(-1, -2).contiguous().transpose(-1, -2)
    if layout == "channels_last" and x.ndim == 4:
        return x.contiguous(memory_format=torch.channels_last)
    if layout == "part" and x.ndim >= 1:
        return torch.cat([x, x], -1).narrow(-1, 0, x.shape[-1])
    return x


def python(options):
    """Names and tuples of Python."""
    snake = lambda name: "".join(f"_{c.lower()}" if c.isupper() else c for c in name)  # noqa: E731
    return {snake(name): tuple(value) if isinstance(value, list) else value for name, value in options.items()}


def some(**options):
    """About half of the options, each drawn."""
    return {name: make() for name, make in options.items() if draw.random() < 0.5}


def side(low, high):
    return pick([draw.randint(low, high), [draw.randint(low, high), draw.randint(low, high)]])


def convolution(name):
    flat = name == "Conv1d"
    size = draw.randint if flat else side
    groups = pick([1, 1, 2, 3])
    options = some(stride=lambda: size(1, 3), dilation=lambda: size(1, 2), bias=lambda: pick([True, False]))
    if name == "ConvTranspose2d":
        options |= some(padding=lambda: size(0, 2), outputPadding=lambda: size(0, 1))
    else:
        options |= some(padding=lambda: pick(["same", "valid", size(0, 3)]))
    if groups > 1:
        options["groups"] = groups
    channels = groups * draw.randint(1, 3)
    shape = [pick([0, 1, 2]), channels] + [pick([1, 3, 6, 7]) for _ in range(1 if flat else 2)]
    return [channels, groups * draw.randint(1, 3), size(1, 4)], options, shape


def batch_norm(name):
    channels = pick([1, 3])
    options = some(eps=lambda: pick([1e-3, 0.1]), momentum=lambda: pick([0.0, 0.5, 1.0]))
    more = [pick([1, 5]), pick([1, 2])] if name == "BatchNorm2d" else pick([[], [4]])
    return [channels], options, [pick([1, 2, 5]), channels, *more]


def layer_norm(_):
    shape = pick([[4], [3, 5], [2, 1, 3]])
    return [shape], some(eps=lambda: pick([1e-3, 1e-6])), [pick([0, 1, 6]) for _ in range(draw.randint(0, 2))] + shape


def group_norm(_):
    groups = pick([1, 2, 3])
    channels = groups * pick([2, 3])
    shape = [pick([0, 1, 2]), channels] + [pick([1, 2, 5]) for _ in range(draw.randint(0, 3))]
    return [groups, channels], some(eps=lambda: pick([1e-3, 1e-6])), shape


def pool(_):
    return [side(1, 4)], some(stride=lambda: side(1, 3), padding=lambda: side(0, 2)), [pick([1, 2]), 2, pick([2, 5]), pick([3, 6])]


def linear(_):
    width = pick([1, 5])
    return [width, pick([1, 3])], some(bias=lambda: pick([True, False])), pick([[width], [0, width], [2, 3, width]])


DRAWS = dict.fromkeys(["Conv1d", "Conv2d", "ConvTranspose2d"], convolution) | {
    "BatchNorm1d": batch_norm,
    "BatchNorm2d": batch_norm,
    "LayerNorm": layer_norm,
    "GroupNorm": group_norm,
    "MaxPool2d": pool,
    "AvgPool2d": pool,
    "Linear": linear,
}


def fill(module, dtype):
    module.to(dtype)
    with torch.no_grad():
        for seed, (name, tensor) in enumerate(module.state_dict().items()):
            if tensor.is_floating_point():
                tensor.copy_(values(tensor.shape, seed, dtype) * 0.5 + (0.8 if "var" in name else 0.1))


def state_marks(module):
    marks = {name: mark(parameter.grad) for name, parameter in module.named_parameters() if parameter.grad is not None}
    return marks | {name: mark(buffer) for name, buffer in module.named_buffers()}


def layer():
    name = pick(list(DRAWS))
    args, options, shape = DRAWS[name](name)
    case = {"name": name, "args": args, "options": options, "shape": shape, "dtype": pick(["float32", "float64"])}
    case |= {"layout": pick(["plain", "turned", "channels_last", "part"]), "training": pick([True, False])}
    dtype = getattr(torch, case["dtype"])
    module = getattr(nn, name)(*(tuple(arg) if isinstance(arg, list) else arg for arg in args), **python(options))
    fill(module, dtype)
    module.train(case["training"])
    x = laid(values(shape, 100, dtype), case["layout"]).detach().requires_grad_()
    y = module(x)
    backward([y])
    return case | {"keys": list(module.state_dict()), "marks": {"output": mark(y), "input": mark(x.grad), **state_marks(module)}}


def loss():
    name = pick(["CrossEntropyLoss", "NLLLoss", "MSELoss", "L1Loss", "BCEWithLogitsLoss"])
    reduction = some(reduction=lambda: pick(["none", "mean", "sum"]))
    if name in ("CrossEntropyLoss", "NLLLoss"):
        classes, batch, more = pick([2, 5]), pick([1, 6]), pick([[], [3]])
        options = reduction | some(ignoreIndex=lambda: pick([0, 1, -1]), weight=lambda: classes)
        if name == "CrossEntropyLoss":
            options |= some(labelSmoothing=lambda: pick([0.1, 1.0]))
        x, target = values([batch, classes, *more], 100), torch.arange(batch * math.prod(more)).reshape([batch, *more]) % classes
    else:
        shape = pick([[], [3], [2, 4]])
        options = reduction
        if name == "BCEWithLogitsLoss" and shape:
            options = reduction | some(weight=lambda: shape[-1], posWeight=lambda: shape[-1])
        x, target = values(shape, 100), values(shape, 200).square()
    case = {"name": name, "options": options, "shape": list(x.shape), "target": list(target.shape)}
    # A weight stands for its length.
    tensors = {key: values([size], seed) + 1.2 for seed, (key, size) in enumerate(options.items()) if key.lower().endswith("weight")}
    x.requires_grad_()
    module = getattr(nn, name)(**python(options | tensors))
    y = module(x, target)
    backward([y])
    return case | {"keys": list(module.state_dict()), "marks": {"output": mark(y), "input": mark(x.grad)}}


def attention():
    heads, batch, queries, keys = pick([1, 2]), pick([1, 3]), pick([1, 4]), pick([2, 5])
    width = 4 * heads
    options = some(bias=lambda: pick([True, False]), batchFirst=lambda: True)
    call = some(averageAttnWeights=lambda: pick([True, False]))
    masks = some(attnMask=lambda: pick([[queries, keys], [batch * heads, queries, keys]]), keyPaddingMask=lambda: [batch, keys])
    case = {"args": [width, heads], "options": options, "call": call, "masks": masks, "booleans": pick([True, False])}
    lengths = [queries, keys, keys]
    case["shapes"] = [[batch, length, width] if options.get("batchFirst") else [length, batch, width] for length in lengths]
    module = nn.MultiheadAttention(width, heads, **python(options))
    fill(module, torch.float32)
    inputs = [values(shape, 100 + i).requires_grad_() for i, shape in enumerate(case["shapes"])]
    given = {name: values(shape, 200) for name, shape in masks.items()}
    if case["booleans"]:
        given = {name: mask > 0.5 for name, mask in given.items()}
    y, weights = module(*inputs, **python(call | given))
    backward([y, weights])
    slopes = {f"input {i}": mark(x.grad) for i, x in enumerate(inputs)}
    return case | {"marks": {"output": mark(y), "weights": mark(weights), **slopes, **state_marks(module)}}


SHAPES = [[5], [3, 4], [2, 3, 1, 2]]


def optimizer():
    name = pick(["SGD", "Adam", "AdamW"])

    def settings():
        more = {"momentum": lambda: pick([0.5, 0.9])} if name == "SGD" else {"betas": lambda: [0.5, 0.9], "eps": lambda: 1e-4}
        return some(weightDecay=lambda: pick([0.1, 0.5]), **more)

    options = {"lr": pick([0.1, 0.01]), **settings()}
    if "momentum" in options:
        options |= some(nesterov=lambda: True)
    case = {"name": name, "options": options, "groups": pick([[{}], [some(lr=lambda: 0.05), settings()]]), "clip": pick([None, 0.5, 1e9])}
    case["absent"] = draw.randint(0, 5)  # at this step the first parameter has no gradient
    case["scheduler"] = pick([["StepLR", 2, 0.5], ["CosineAnnealingLR", 3, 0.01]])
    parameters = [values(shape, i).requires_grad_() for i, shape in enumerate(SHAPES)]
    parts = [parameters] if len(case["groups"]) == 1 else [parameters[:1], parameters[1:]]
    made = getattr(torch.optim, name)([{"params": part, **python(own)} for part, own in zip(parts, case["groups"])], **python(options))
    scheduler, *settings = case["scheduler"]
    schedule = getattr(torch.optim.lr_scheduler, scheduler)(made, *settings)
    norm = 0
    for step in range(5):
        for i, parameter in enumerate(parameters):
            parameter.grad = None if step == case["absent"] and i == 0 else values(parameter.shape, 10 * step + i)
        if case["clip"] is not None:
            norm = mark(nn.utils.clip_grad_norm_(parameters, case["clip"]))
        made.step()
        schedule.step()
    marks = {str(i): mark(parameter) for i, parameter in enumerate(parameters)}
    return case | {"marks": {**marks, "norm": norm, "lr": made.param_groups[0]["lr"]}}


def cases(make, count):
    """Those that PyTorch takes, and that give numbers."""
    found = []
    while len(found) < count:
        try:
            case = make()
        except (RuntimeError, ValueError):
            continue
        if all(math.isfinite(value) for value in case["marks"].values()):
            found.append(case)
    return found


def write(folder):
    counts = {layer: 90, loss: 40, attention: 20, optimizer: 40}
    lines = [json.dumps({"kind": make.__name__} | case) for make, count in counts.items() for case in cases(make, count)]
    (folder / "drawn.jsonl").write_text("\n".join(lines) + "\n")
