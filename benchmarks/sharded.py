"""Ridge attention over two ranks (gloo, two processes of this machine): against a rank's own shard without the exchange, and one process.

A rank is a process of one thread; what crosses between them crosses memory, not a network: the bytes are what counts.
"""

import atexit
import tempfile

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from harness import Case

from olsattention import ridge_attention, sharded_ridge_attention
from olsattention.practice.sharded import bytes_sent

HEADS, TOKENS, WIDTH = 8, 16_384, 64


def cases():
    begin()
    q, k, v = shard(0)
    whole = [torch.cat([ours, theirs], 2) for ours, theirs in zip((q, k, v), shard(1))]
    for causal in (False, True):
        form = "causal" if causal else "full"
        sent, ring = (
            HEADS * bytes_sent(name, 2, TOKENS, WIDTH, WIDTH) / 2**20
            for name in (form, "ring")
        )
        yield Case(
            f"{TOKENS} tokens on 2 ranks, {HEADS} heads of {WIDTH}, {form}, float32",
            lambda causal=causal: together(q, k, v, causal),
            {
                "floor: a rank's own shard": lambda c=causal: attend(q, k, v, c),
                "one process, all tokens": lambda c=causal: attend(*whole, c),
            },
            {"MiB sent by a rank": f"{sent:.2f}", "by ring attention": f"{ring:.1f}"},
        )


def shard(rank):
    generator = torch.Generator().manual_seed(rank)
    return torch.randn(3, 1, HEADS, TOKENS // 2, WIDTH, generator=generator)


def attend(q, k, v, causal):
    return ridge_attention(q, k, v, 1.0, is_causal=causal)


def together(q, k, v, causal):
    """Tell the other rank what to do, and do it."""
    dist.broadcast(torch.tensor([int(causal)]), 0)
    return sharded_ridge_attention(q, k, v, 1.0, is_causal=causal)


def begin():
    """Be rank 0, beside a rank 1 that waits for orders until this process ends."""
    folder = tempfile.TemporaryDirectory(prefix="olsattention-")
    torch.set_num_threads(1)
    other = mp.get_context("spawn").Process(target=obey, args=(folder.name,), daemon=True)
    other.start()
    join(0, folder.name)

    def end():
        dist.broadcast(torch.tensor([-1]), 0)
        other.join()
        dist.destroy_process_group()
        folder.cleanup()

    atexit.register(end)


def join(rank, folder):
    meet = f"file://{folder}/meet"
    dist.init_process_group("gloo", init_method=meet, rank=rank, world_size=2)


def obey(folder):
    torch.set_num_threads(1)
    join(1, folder)
    q, k, v = shard(1)
    order = torch.zeros(1, dtype=torch.int64)
    while True:
        dist.broadcast(order, 0)
        if int(order) < 0:
            break
        sharded_ridge_attention(q, k, v, 1.0, is_causal=bool(order))
    dist.destroy_process_group()
