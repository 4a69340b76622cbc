"""Sampling from the transformer in PyTorch; prints one JSON line a repeat. Ours: bench/sample.mjs.

`--mode uncached` runs the whole sequence anew for every token, as taming-transformers samples images for conditions. That
takes minutes, so only every `--stride`-th token is drawn, after random ones; these are spread evenly and are all that counts.
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


def uncached(model, condition, top_k, stride):
    drawn = 0
    for t in range(stride // 2, model.tokens, stride):
        image = torch.randint(model.head.out_features, (condition.shape[0], t))
        torch.cat([image, draw(model(condition, image)[:, -1], top_k)], 1)
        drawn += 1
    return drawn


def cached(model, condition, top_k):
    batch, tokens = condition.shape
    caches = model.caches(batch, model.head.weight.dtype)
    logits = model.decode(model.condition_table(condition), 0, caches)
    drawn = []
    for t in range(model.tokens):
        drawn.append(draw(logits, top_k))
        if t + 1 < model.tokens:
            logits = model.decode(model.image_table(drawn[-1]), tokens + t, caches)
    return len(drawn)


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
    parser.add_argument("--stride", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = Transformer(options.layers, options.width, options.heads, options.codes, options.tokens)
    model = model.to(getattr(torch, options.precision)).eval()
    condition = torch.randint(options.codes, (options.batch, options.tokens))

    def run():
        if options.mode == "cached":
            return cached(model, condition, 100)
        return uncached(model, condition, 100, options.stride)

    with torch.inference_mode():
        if options.mode == "cached":
            run()
        for _ in range(options.repeats):
            start = time.perf_counter()
            drawn = run()
            seconds = time.perf_counter() - start
            print(json.dumps({"seconds": seconds, "tokens/s": options.batch * drawn / seconds}), flush=True)
    print(json.dumps({"parameters": sum(p.numel() for p in model.parameters())}))


if __name__ == "__main__":
    main()
