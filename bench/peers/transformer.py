"""The transformer of packages/iqvae/src/models/transformer.ts, as a PyTorch user writes it.

Attention is written out, since on the CPU `scaled_dot_product_attention` is the slower choice in every case that is
measured here: in bfloat16 its gradient takes four times as long, and one query against a cache twice as long (PyTorch 2.15).
"""
import math

import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, width, heads, longest):
        super().__init__()
        self.heads = heads
        self.register_buffer("future", torch.ones(longest, longest, dtype=torch.bool).triu(1))
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)

    def forward(self, x, cache=None):
        B, T, C = x.shape
        q, k, v = (part.view(B, T, self.heads, -1).transpose(1, 2) for part in self.qkv(x).split(C, dim=2))
        if cache is not None:
            k, v = cache.append(k, v)
        scores = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(q.size(-1)))
        if T > 1:
            scores = scores.masked_fill(self.future[:T, :T], float("-inf"))
        y = F.softmax(scores, dim=-1) @ v
        return self.project(y.transpose(1, 2).reshape(B, T, C))


class Cache:
    """Keys and values of one layer in memory that is allocated once."""

    def __init__(self, batch, heads, tokens, features, dtype):
        self.k = torch.empty(batch, heads, tokens, features, dtype=dtype)
        self.v = torch.empty(batch, heads, tokens, features, dtype=dtype)
        self.length = 0

    def append(self, k, v):
        end = self.length + k.shape[2]
        self.k[:, :, self.length : end] = k
        self.v[:, :, self.length : end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]


class Block(nn.Module):
    def __init__(self, width, heads, longest):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads, longest)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x, cache=None):
        x = x + self.attention(self.norm1(x), cache)
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    def __init__(self, layers, width, heads, codes, tokens):
        super().__init__()
        self.heads, self.width, self.tokens = heads, width, tokens
        self.condition_table = nn.Embedding(codes, width)
        self.image_table = nn.Embedding(codes, width)
        self.positions = nn.Parameter(0.02 * torch.randn(2 * tokens - 1, width))
        self.blocks = nn.ModuleList(Block(width, heads, 2 * tokens) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, codes, bias=False)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, condition, image):
        """Logits of image tokens 0 … n from n image tokens."""
        x = torch.cat([self.condition_table(condition), self.image_table(image)], 1)
        x = x + self.positions[: x.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, condition.shape[1] - 1 :]))

    def caches(self, batch, dtype):
        shape = (batch, self.heads, 2 * self.tokens - 1, self.width // self.heads)
        return [Cache(*shape, dtype) for _ in self.blocks]

    def decode(self, x, position, caches):
        """Logits that follow embedded tokens [B, n, width] whose first stands at `position`."""
        x = x + self.positions[position : position + x.shape[1]]
        for block, cache in zip(self.blocks, caches):
            x = block(x, cache)
        return self.head(self.norm(x[:, -1]))


def loss_of(model, condition, image):
    logits = model(condition, image[:, :-1])
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]).float(), image.reshape(-1))


def optimizer_of(model):
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=3e-4, betas=(0.9, 0.95), **fastest())


def fastest():
    """`fused` where this PyTorch has it on the CPU, else `foreach`."""
    try:
        probe = nn.Parameter(torch.zeros(1))
        torch.optim.AdamW([probe], fused=True)
        return {"fused": True}
    except (RuntimeError, TypeError, ValueError):
        return {"foreach": True}
