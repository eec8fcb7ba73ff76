"""Ridge attention: against its bare products, linear attention with the same care, and softmax attention."""

import torch
from harness import Case
from torch.nn.functional import scaled_dot_product_attention

from olsattention import RidgeAttentionState, ridge_attention
from olsattention.attention.causal import CHUNK, cut, join, lower, plan, prefix_sums, spans

HEADS, WIDTH, LAM = 8, 64, 1.0


def tokens(T, seed=0, width=WIDTH):
    """Query, key and value (1, H, T, d) in float32."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(1, HEADS, T, width, generator=generator) for _ in range(3))


def linear_attention(query, key, value):
    """Causal linear attention by the chunks of `causal_ridge`: the same traffic, no solve."""
    q, k, v = query[0][:, None], key[0], value[0]
    N, g, T, d = q.shape
    C, size = plan(k, None)
    B, out = k.new_zeros(N, d, v.shape[-1]), torch.empty_like(q)
    for span in spans(T, size):
        qc, kc, vc = (cut(x, span, C, k.dtype) for x in (q, k, v))
        before, B = prefix_sums(B, kc.mT @ vc)
        o = torch.baddbmm(lower(qc @ kc.mT) @ vc, qc, before)
        out[:, :, span[0] : span[1]] = join(o, span, C, N, g)
    return out


def error(T, lam):
    """Relative error of the last chunk against normal equations in float64."""
    query, key, value = tokens(T)
    ours = ridge_attention(query, key, value, lam, is_causal=True)[0, :, -1].double()
    k, v = key[0].double(), value[0].double()
    A = k.mT @ k + lam * torch.eye(WIDTH, dtype=torch.float64)
    exact = (query[0, :, -1:].double() @ torch.linalg.solve(A, k.mT @ v))[:, 0]
    return float((ours - exact).norm() / exact.norm())


def full(T=32768):
    query, key, value = tokens(T)
    omega = torch.randn(1, HEADS, WIDTH, WIDTH)
    return Case(
        f"full, T = {T}",
        lambda: ridge_attention(query, key, value, LAM),
        {
            "floor: three bare products": lambda: (
                key.mT @ key,
                key.mT @ value,
                query @ omega,
            )
        },
    )


def causal(T):
    query, key, value = tokens(T)
    others = {
        "floor: linear attention, same chunks": lambda: linear_attention(query, key, value)
    }
    if T <= 8192:
        others["softmax: scaled_dot_product_attention"] = lambda: (
            scaled_dot_product_attention(query, key, value, is_causal=True)
        )
    else:
        short = tokens(8192)
        others["ours at T = 8192"] = lambda: ridge_attention(*short, LAM, is_causal=True)
    return Case(
        f"causal, T = {T}",
        lambda: ridge_attention(query, key, value, LAM, is_causal=True),
        others,
        {
            "MiB of inputs": f"{3 * query.nbytes / 2**20:.0f}",
            **{
                f"error at lam = {lam:g}": f"{error(T, lam):.0e}"
                for lam in (1.0, 0.1, 1e-3)
            },
        },
    )


def backward(T=8192):
    inputs = [x.requires_grad_() for x in tokens(T)]
    weights = torch.randn(1, HEADS, T, WIDTH)

    def forward():
        return ridge_attention(*inputs, LAM, is_causal=True)

    def both():
        torch.autograd.grad(forward(), inputs, weights)

    return Case(f"forward and backward, causal, T = {T}", both, {"forward alone": forward})


def decoding(T=32768, new=64):
    """The cache of softmax is not even made to grow."""
    query, key, value = tokens(T + new)
    cached_key, cached_value = (x[:, :, :T].contiguous() for x in (key, value))
    state = RidgeAttentionState(LAM, WIDTH, WIDTH, (1, HEADS))
    state.update(cached_key, cached_value)
    steps = [
        [x[:, :, t].contiguous() for x in (query, key, value)] for t in range(T, T + new)
    ]

    def ours():
        memory = state.clone()
        for q, k, v in steps:
            memory.update(k, v).attend(q)

    def cached():
        for q, _, _ in steps:
            scaled_dot_product_attention(q[:, :, None], cached_key, cached_value)

    name = f"decoding {new} tokens after {T}"
    return Case(name, ours, {"softmax with a cache": cached})


def trained_gates(T, seed=0):
    """Between .9 and 1, and a reset every 500 tokens, elsewhere in each head."""
    gates = 0.9 + 0.1 * torch.rand(
        1, HEADS, T, generator=torch.Generator().manual_seed(seed)
    )
    for h in range(HEADS):
        gates[0, h, 37 * h % 500 :: 500] = 0
    return gates


def forgetting(T, name, decay):
    query, key, value = tokens(T)
    return Case(
        f"causal with gates {name}, T = {T}",
        lambda: ridge_attention(query, key, value, LAM, is_causal=True, decay=decay),
        {
            "without gates": lambda: ridge_attention(
                query, key, value, LAM, is_causal=True
            ),
            "softmax: scaled_dot_product_attention": lambda: scaled_dot_product_attention(
                query, key, value, is_causal=True
            ),
        },
        repeats=3,
    )


def forgetting_backward(T=8192, decay=0.99):
    inputs = [x.requires_grad_() for x in tokens(T)]
    weights = torch.randn(1, HEADS, T, WIDTH)

    def forward():
        return ridge_attention(*inputs, LAM, is_causal=True, decay=decay)

    def both():
        torch.autograd.grad(forward(), inputs, weights)

    name = f"forward and backward, causal with gates {decay}, T = {T}"
    return Case(name, both, {"forward alone": forward}, repeats=3)


def forgetting_decoding(T=4096, new=64, decay=0.99, name=None):
    query, key, value = tokens(T + new)
    state = RidgeAttentionState(LAM, WIDTH, WIDTH, (1, HEADS))
    state.update(key[:, :, :T], value[:, :, :T])
    steps = [
        [x[:, :, t].contiguous() for x in (query, key, value)] for t in range(T, T + new)
    ]

    def decode(decay):
        memory = state.clone()
        for t, (q, k, v) in enumerate(steps):
            gate = decay[..., t] if isinstance(decay, torch.Tensor) else decay
            memory.update(k, v, gate).attend(q)

    return Case(
        f"decoding {new} tokens with gates {name or decay}",
        lambda: decode(decay),
        {"without gates": lambda: decode(None)},
    )


def lengths(T, low, high, seed=0):
    """Of documents, drawn between two numbers until all are T."""
    generator, found = torch.Generator().manual_seed(seed), []
    while sum(found) < T:
        found.append(int(torch.randint(low, high + 1, (1,), generator=generator)))
    return [*found[:-1], T - sum(found[:-1])]


def packed(documents, name="", decay=None, learn=False):
    """Against one sequence of as many tokens, with the same gates."""
    T = sum(documents)
    inputs = [x.requires_grad_(learn) for x in tokens(T)]
    cuts, weights = torch.tensor([0, *documents]).cumsum(0), torch.randn(1, HEADS, T, WIDTH)

    def run(**options):
        out = ridge_attention(*inputs, LAM, is_causal=True, decay=decay, **options)
        if learn:
            torch.autograd.grad(out, inputs, weights)

    gates = f" with gates {decay}" if decay else ""
    return Case(
        f"{'forward and backward, ' * learn}{len(documents)} packed documents{name}{gates}, T = {T}",
        lambda: run(cu_seqlens=cuts),
        {"one sequence": run},
    )


def sliding(T=8192, window=1024):
    query, key, value = tokens(T)
    whole = {"no window": lambda: ridge_attention(query, key, value, LAM, is_causal=True)}
    return Case(
        f"a window of {window}, T = {T}",
        lambda: ridge_attention(query, key, value, LAM, is_causal=True, window=window),
        whole,
        repeats=3,
    )


def cases():
    """Sizes: one sequence, eight heads of width 64, float32."""
    assert CHUNK == 64
    yield full()
    yield causal(8192)
    yield causal(32768)
    yield backward()
    yield decoding()
    for T in (4096, 8192):
        yield forgetting(T, ".99", 0.99)
    yield forgetting(8192, ".9", 0.9)
    yield forgetting(8192, "as trained", trained_gates(8192))
    yield forgetting_backward()
    yield forgetting_decoding()
    yield forgetting_decoding(decay=0.9)
    yield forgetting_decoding(decay=trained_gates(64), name="as trained")
    yield packed([500, 1200, 200, 2100, 2100, 900, 1192])
    for low, high in ((16, 112), (32, 224)):
        documents = lengths(8192, low, high)
        for options in ({}, {"decay": 0.99}, {"learn": True}):
            yield packed(documents, f" of {low} to {high} tokens", **options)
    for window in (1024, 64, 16):  # the width of the head is 64
        yield sliding(window=window)
