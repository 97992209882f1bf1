"""Real processes that talk to each other, for tests of what several devices do."""

import os
import socket
from multiprocessing import get_context

import torch
from torch import distributed as dist


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def on_devices(count, function, *args):
    """`function(devices, *args)` in so many processes at once; what each returned, by rank.

    The function must be importable: at the top of a module.
    """
    port = free_port()
    context = get_context("forkserver")  # torch is imported once for all of them
    context.set_forkserver_preload(["ssseg.testing", "torch.distributed"])
    answers = context.Queue()
    processes = [
        context.Process(target=_work, args=(rank, count, port, answers, function, args))
        for rank in range(count)
    ]
    for process in processes:
        process.start()
    found = dict(answers.get(timeout=300) for _ in processes)
    for process in processes:
        process.join(60)
    for answer in found.values():
        if isinstance(answer, Exception):
            raise answer
    return [found[rank] for rank in range(count)]


def _work(rank, count, port, answers, function, args):
    from ssseg.distributed import DistInfo

    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=count)
    try:
        answer = function(DistInfo(rank, count), *args)
    except Exception as error:
        answer = RuntimeError(f"rank {rank}: {type(error).__name__}: {error}")
    answers.put((rank, answer))
    dist.barrier()
    dist.destroy_process_group()


IMAGES = 4


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)
