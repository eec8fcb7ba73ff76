"""Two checkouts in turn, in one run: `python benchmarks/before_after.py OLD NEW [NAME ...]`, with the folders that hold `olsattention`.

Each has a process of its own, which is told by a line what to do; the ratio is of the shortest times and the median of
those of neighbours. Times are those of the processor, on one thread, so that others on the machine count less. With
names, only the cases whose names begin so.
"""

import os
import statistics
import subprocess
import sys
import time

NAMES = ["full 4096", "full 512", "causal 4096", "causal 512", "causal 512, lam .1"]
NAMES += [
    "forward and backward, causal",
    "forward and backward, full",
    "decode 64",
    "gates 256",
]
NAMES += [
    "first 128, lam 1",
    "first 128, lam .0001",
    "first 128, lam by head",
    "chunks of 16",
    "window 64",
    "long 256",
]


def work():
    """Cases by name: one sequence, eight heads of width 64, float32."""
    import torch

    from olsattention import RidgeAttentionState, ridge_attention

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    long = [torch.randn(1, 8, 4096, 64, generator=generator) for _ in range(3)]
    short, gated = ([x[:, :, :T].contiguous() for x in long] for T in (512, 256))
    learned = [x.clone().requires_grad_() for x in long]
    state = RidgeAttentionState(1.0, 64, 64, (1, 8)).update(*long[1:])

    def learn(**options):
        torch.autograd.grad(ridge_attention(*learned, 1.0, **options), learned, long[0])

    def decode(memory, tokens, width=None):
        for t in range(0, tokens, width or 1):
            now = slice(t, t + width) if width else t
            memory.update(long[1][:, :, now], long[2][:, :, now]).attend(long[0][:, :, now])

    def fresh(lam, **more):
        return RidgeAttentionState(lam, 64, 64, (1, 8), **more)

    by_head = torch.logspace(-2, 1, 8)
    causal = {"is_causal": True}
    calls = [
        lambda: ridge_attention(*long, 1.0),
        lambda: ridge_attention(*short, 1.0),
        lambda: ridge_attention(*long, 1.0, **causal),
        lambda: ridge_attention(*short, 1.0, **causal),
        lambda: ridge_attention(*short, 0.1, **causal),
        lambda: learn(**causal),
        learn,
        lambda: decode(state.clone(), 64),
        lambda: ridge_attention(*gated, 1.0, decay=0.99, **causal),
        lambda: decode(fresh(1.0), 128),
        lambda: decode(fresh(1e-4), 128),
        lambda: decode(fresh(by_head), 128),
        lambda: decode(fresh(1.0), 1024, 16),
        lambda: decode(fresh(1.0, window=64), 192),
        lambda: decode(state.clone(), 256),
    ]
    return dict(zip(NAMES, calls))


def serve():
    """Do what each line says, and answer with the seconds that it took."""
    cases = work()
    for line in sys.stdin:
        start = time.process_time()
        cases[line.strip()]()
        print(time.process_time() - start, flush=True)


def main(old, new, *wanted, repeats=12):
    """Print a table."""
    repeats = int(os.environ.get("REPEATS", repeats))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, __file__]
    both = [
        subprocess.Popen(command, env=dict(os.environ, PYTHONPATH=folder), **pipes)
        for folder in (old, new)
    ]
    for name in (x for x in NAMES if x.startswith(wanted or "")):
        times = [[], []]
        for _ in range(repeats):
            for process, found in zip(both, times):
                print(name, file=process.stdin, flush=True)
                found.append(float(process.stdout.readline()))
        before, after = (x[2:] for x in times)
        median = statistics.median(b / a for a, b in zip(before, after))
        print(f"{name:30s} {1e3 * min(before):8.1f} ms {1e3 * min(after):8.1f} ms", end=" ")
        print(f"shortest {min(after) / min(before):.3f} median {median:.3f}")
    for process in both:
        process.stdin.close()


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) > 1 else serve()
