"""Sampling from the transformer in PyTorch; prints one JSON line a repeat. Ours: bench/sample.mjs.

`--mode uncached` runs the whole sequence anew for every token, as taming-transformers samples images for conditions.
`--mode cached` keeps keys and values in preallocated memory and reads the condition once.
"""
import argparse
import json
import time

import torch

from transformer import Transformer


def draw(logits, top_k):
    values, codes = logits.float().topk(top_k, dim=-1)
    return codes.gather(-1, torch.multinomial(values.softmax(-1), 1))


def uncached(model, condition, top_k):
    image = condition[:, :0]
    for _ in range(model.tokens):
        image = torch.cat([image, draw(model(condition, image)[:, -1], top_k)], 1)
    return image


def cached(model, condition, top_k):
    batch, tokens = condition.shape
    caches = model.caches(batch, model.head.weight.dtype)
    logits = model.decode(model.condition_table(condition), 0, caches)
    drawn = []
    for t in range(model.tokens):
        drawn.append(draw(logits, top_k))
        if t + 1 < model.tokens:
            logits = model.decode(model.image_table(drawn[-1]), tokens + t, caches)
    return torch.cat(drawn, 1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=["uncached", "cached"], default="cached")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--codes", type=int, default=1024)
    parser.add_argument("--tokens", type=int, default=256)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = Transformer(options.layers, options.width, options.heads, options.codes, options.tokens)
    model = model.to(getattr(torch, options.precision)).eval()
    condition = torch.randint(options.codes, (options.batch, options.tokens))
    run = cached if options.mode == "cached" else uncached
    with torch.inference_mode():
        if options.mode == "cached":
            run(model, condition, 100)
        for _ in range(options.repeats):
            start = time.perf_counter()
            run(model, condition, 100)
            seconds = time.perf_counter() - start
            print(json.dumps({"seconds": seconds, "tokens/s": options.batch * options.tokens / seconds}), flush=True)


if __name__ == "__main__":
    main()
