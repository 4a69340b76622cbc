"""Microseconds for one `torch.mul` of two small tensors through CPython's binding. Prints one JSON line a repeat."""
import argparse
import json
import time

import torch


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--calls", type=int, default=100_000)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    a = torch.tensor([1.0, 2.0, 3.0, 4.0])
    b = torch.tensor([5.0, 6.0, 7.0, 8.0])

    def multiply(count):
        mul = torch.mul
        for _ in range(count):
            mul(a, b)

    multiply(options.calls)
    for _ in range(options.repeats):
        start = time.perf_counter()
        multiply(options.calls)
        print(json.dumps({"microseconds": (time.perf_counter() - start) * 1e6 / options.calls}), flush=True)


if __name__ == "__main__":
    main()
