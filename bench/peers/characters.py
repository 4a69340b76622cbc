"""Training steps of a small transformer on characters in PyTorch; prints one JSON line a repeat. Ours: bench/characters.mjs, with
the model of packages/torch/examples/characters.mjs, as its user would write it in Python.
"""
import argparse
import json
import time

import torch
from torch import nn
from torch.nn import functional as F

BATCH, TOKENS, WIDTH, HIDDEN, HEADS, LAYERS = 32, 64, 128, 512, 4, 3


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)])
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, WIDTH))
        self.register_buffer("later", torch.ones(TOKENS, TOKENS, dtype=torch.bool).triu(1))

    def forward(self, x):
        y = self.norms[0](x)
        tokens = x.shape[1]
        z = x + self.attention(y, y, y, attn_mask=self.later[:tokens, :tokens], need_weights=False)[0]
        return z + self.mlp(self.norms[1](z))


class CharacterModel(nn.Module):
    def __init__(self, characters):
        super().__init__()
        self.embedding = nn.Embedding(characters, WIDTH)
        self.positions = nn.Parameter(torch.randn(TOKENS, WIDTH) * 0.02)
        self.layers = nn.Sequential(*(Block() for _ in range(LAYERS)), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, characters))

    def forward(self, ids):
        return self.layers(self.embedding(ids) + self.positions[: ids.shape[1]])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--foreach", action="store_true", help="AdamW's faster form")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--inner", type=int, default=20, help="steps that make up one repeat")
    parser.add_argument("--characters", type=int, default=96)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    ids = torch.randint(options.characters, (100_000,))
    model = CharacterModel(options.characters)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, foreach=options.foreach)

    def step():
        starts = torch.randint(len(ids) - TOKENS, (BATCH, 1))
        pieces = ids[starts + torch.arange(TOKENS + 1)]
        optimizer.zero_grad(set_to_none=True)
        logits = model(pieces[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), pieces[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    for _ in range(10):
        step()
    for _ in range(options.repeats):
        start = time.perf_counter()
        for _ in range(options.inner):
            step()
        print(json.dumps({"steps/s": options.inner / (time.perf_counter() - start)}), flush=True)
    print(json.dumps({"parameters": sum(p.numel() for p in model.parameters())}))


if __name__ == "__main__":
    main()
