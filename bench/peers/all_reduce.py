"""Milliseconds for the sum of 10 M float32 values over two processes of one thread each, by Gloo over loopback. One JSON line a repeat."""
import argparse
import datetime
import json
import resource
import socket
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as processes

COUNT = 10_000_000


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def work(rank, port, repeats):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2, timeout=datetime.timedelta(seconds=60)
    )
    message = torch.ones(COUNT)
    for repeat in range(-2, repeats):
        message.fill_(1)
        dist.barrier()
        start, used = time.perf_counter(), processor_seconds()
        dist.all_reduce(message)
        elapsed, used = time.perf_counter() - start, processor_seconds() - used
        if rank == 0 and repeat >= 0:
            print(json.dumps({"milliseconds": 1e3 * elapsed, "processorMilliseconds": 1e3 * used}), flush=True)
    dist.barrier()
    dist.destroy_process_group()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    processes.spawn(work, (free_port(), options.repeats), nprocs=2)


if __name__ == "__main__":
    main()
