"""More layers and optimizers of PyTorch; test/modules.test.ts and test/optim.test.ts of packages/torch do the same."""

import torch
from golden_nn import MOMENTS, backward, save, seeded, train
from torch import nn


class SelfAttention(nn.MultiheadAttention):
    """Attention of one tensor to itself, with its weights."""

    def forward(self, x):
        return super().forward(x, x, x)


class CausalAttention(nn.MultiheadAttention):
    """The same up to each position, without weights."""

    def forward(self, x):
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        return super().forward(x, x, x, attn_mask=later, need_weights=False)[0]


class CrossAttention(nn.MultiheadAttention):
    """Queries, keys, values, a mask that is added, and which keys are padding; weights of each head."""

    def forward(self, query, key, value, mask, padding):
        return super().forward(
            query, key, value, attn_mask=mask, key_padding_mask=padding, average_attn_weights=False
        )


def evaluated():
    """A batch norm whose running statistics have seen something."""
    norm = nn.BatchNorm2d(3)
    norm(torch.randn(4, 3, 5, 5) * 2 + 1)
    return norm.eval()


def aligned(factor):
    """As U-Nets have it."""
    return lambda: nn.Upsample(scale_factor=factor, mode="bilinear", align_corners=True)


LAYERS = {
    "Conv2d without padding": (lambda: nn.Conv2d(3, 4, 3), (2, 3, 6, 5)),
    "Conv2d with groups and dilation": (lambda: nn.Conv2d(4, 6, 3, padding=2, dilation=2, groups=2), (2, 4, 7, 6)),
    "Conv2d same": (lambda: nn.Conv2d(3, 4, (3, 5), padding="same", dilation=(2, 1)), (2, 3, 6, 7)),
    "Conv2d same, even kernel": (lambda: nn.Conv2d(3, 4, (2, 4), padding="same"), (2, 3, 6, 5)),
    "Conv2d valid": (lambda: nn.Conv2d(3, 4, 2, padding="valid", stride=2), (2, 3, 6, 6)),
    "Conv1d": (lambda: nn.Conv1d(4, 6, 5, stride=2, padding=2, groups=2), (2, 4, 9)),
    "Conv1d same, even kernel": (lambda: nn.Conv1d(4, 3, 4, padding="same", bias=False), (2, 4, 9)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, padding=1, output_padding=1, groups=2), (2, 4, 4, 3)),
    "ConvTranspose2d with dilation": (lambda: nn.ConvTranspose2d(2, 3, (2, 3), dilation=2, bias=False), (2, 2, 3, 3)),
    "LayerNorm of two dimensions": (lambda: nn.LayerNorm((3, 6)), (2, 3, 6)),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(5), (6, 5)),
    "BatchNorm1d of sequences": (lambda: nn.BatchNorm1d(3, eps=1e-3, momentum=0.5), (2, 3, 7)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3), (2, 3, 4, 5)),
    "BatchNorm2d evaluated": (evaluated, (2, 3, 4, 5)),
    "Sequential": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
            nn.Conv2d(4, 4, 3),
            nn.GELU(approximate="tanh"),
            nn.AvgPool2d(2, stride=1),
            nn.Flatten(),
            nn.Linear(4, 5),
            nn.Tanh(),
            nn.Linear(5, 3),
            nn.SiLU(),
            nn.Sigmoid(),
        ),
        (2, 1, 8, 8),
    ),
    "LeakyReLU": (lambda: nn.LeakyReLU(0.2), (2, 3, 4)),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d((3, 2)), (2, 2, 7, 5)),
    "AdaptiveAvgPool2d to more": (lambda: nn.AdaptiveAvgPool2d(5), (1, 2, 3, 7)),
    "Upsample": (lambda: nn.Upsample(scale_factor=1.7), (1, 2, 5, 4)),
    "Upsample to less": (lambda: nn.Upsample(scale_factor=0.6), (1, 2, 7, 6)),
    "Upsample, bilinear": (lambda: nn.Upsample(scale_factor=1.7, mode="bilinear"), (1, 2, 5, 4)),
    "Upsample, bilinear to less": (lambda: nn.Upsample(scale_factor=0.6, mode="bilinear"), (1, 2, 7, 6)),
    "Upsample, corners aligned": (aligned(1.7), (1, 2, 5, 4)),
    "Upsample, corners aligned, to less": (aligned(0.6), (1, 2, 7, 6)),
    "MultiheadAttention": (lambda: SelfAttention(8, 2), (5, 3, 8)),
    "MultiheadAttention, causal": (lambda: CausalAttention(8, 2, batch_first=True), (3, 5, 8)),
}


def layers():
    plain = torch.enable_grad()
    for case, (make, shape) in LAYERS.items():
        module = seeded(make)
        backward(case, module, [torch.randn(shape, requires_grad=True)], plain)
    module = seeded(lambda: CrossAttention(8, 4, bias=False))
    query, key, value = (torch.randn(length, 2, 8, requires_grad=True) for length in (4, 5, 5))
    padding = torch.tensor([[False, False, True, False, False], [False, False, False, True, True]])
    # PyTorch wants masks of one kind.
    added = torch.zeros(padding.shape).masked_fill(padding, float("-inf"))
    backward("MultiheadAttention, cross", module, [query, key, value, torch.randn(4, 5), added], plain)


def optimizers():
    def trained(case, make, states, clip=1e9):
        train(case, lambda module: make(module.parameters()), clip=clip, states=states)

    sgd, adam, momentum = torch.optim.SGD, torch.optim.Adam, {"momentum": "momentum_buffer"}
    trained("SGD", lambda p: sgd(p, lr=0, weight_decay=0.1), {})
    trained("SGD with momentum", lambda p: sgd(p, lr=0, momentum=0.8, weight_decay=0.1), momentum, clip=0.5)
    trained("SGD by Nesterov", lambda p: sgd(p, lr=0, momentum=0.8, nesterov=True), momentum)
    trained("Adam", lambda p: adam(p, lr=0), MOMENTS)
    trained("Adam with decay", lambda p: adam(p, lr=0, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1), MOMENTS, clip=0.5)


def write(folder):
    layers()
    optimizers()
    save(folder / "modules.safetensors")
