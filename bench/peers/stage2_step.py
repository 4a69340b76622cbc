"""Training steps of the transformer in PyTorch; prints one JSON line a repeat. Ours: bench/stage2-step.mjs.

`--mode default` is what a user gets who writes the loop down: float32, AdamW as it comes. `--mode tuned` adds what a user gets
who reads on: the fused optimizer, and where it helps `--precision bfloat16` (autocast), `--compile`, and a tuned allocator
(MALLOC_MMAP_THRESHOLD_, MALLOC_TRIM_THRESHOLD_ and MALLOC_TOP_PAD_ raised).
"""
import argparse
import contextlib
import json
import time

import torch

from transformer import Transformer, loss_of, optimizer_of


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=["default", "tuned"], default="default")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--codes", type=int, default=1024)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--inner", type=int, default=3, help="steps that make up one repeat")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    tuned = options.mode == "tuned"
    model = Transformer(options.layers, options.width, options.heads, options.codes, options.tokens)
    optimizer = optimizer_of(model) if tuned else torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.05)
    average = [p.detach().clone() for p in model.parameters()]
    bfloat16 = options.precision == "bfloat16"
    precision = (lambda: torch.autocast("cpu", dtype=torch.bfloat16)) if bfloat16 else contextlib.nullcontext
    forward = torch.compile(loss_of) if options.compile else loss_of
    shape = (options.batch, options.tokens)
    condition, image = torch.randint(options.codes, shape), torch.randint(options.codes, shape)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with precision():
            loss = forward(model, condition, image)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            parameters = [p.detach() for p in model.parameters()]
            if tuned:
                torch._foreach_mul_(average, 0.999)
                torch._foreach_add_(average, parameters, alpha=0.001)
            else:
                for a, p in zip(average, parameters):
                    a.lerp_(p, 0.001)
        return loss.item()

    for _ in range(2):
        step()
    for _ in range(options.repeats):
        start = time.perf_counter()
        for _ in range(options.inner):
            step()
        seconds = (time.perf_counter() - start) / options.inner
        print(json.dumps({"seconds": seconds, "tokens/s": 2 * options.batch * options.tokens / seconds}), flush=True)
    print(json.dumps({"parameters": sum(p.numel() for p in model.parameters())}))


if __name__ == "__main__":
    main()
