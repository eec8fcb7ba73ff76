"""Ridge attention on a GPU: the numbers of the CPU, graphs, compilation. Skipped, with the reason, where there is none."""

import pytest
import torch

from olsattention import RidgeAttentionState, head_lam, ridge_attention

pytestmark = pytest.mark.gpu

OPTIONS = {
    "full": {},
    "causal": {"is_causal": True},
    "decay": {"is_causal": True, "decay": 0.95},
}


def inputs(T=700, d=64, dtype=torch.float32, seed=0):
    g = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(2, 3, T, d, generator=g, dtype=torch.float64).to(dtype)
        for _ in range(3)
    )


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16]
)
def test_numbers_of_the_cpu(name, dtype):
    here = inputs(dtype=dtype)
    there = [x.cuda() for x in here]
    got = ridge_attention(*there, 0.5, **OPTIONS[name])
    want = ridge_attention(*(x.double() for x in here), 0.5, **OPTIONS[name])
    assert got.dtype == dtype and got.is_cuda
    bar = {torch.float64: 1e-11, torch.float32: 5e-5}.get(dtype, 4 * torch.finfo(dtype).eps)
    assert (got.cpu().double() - want).norm() <= bar * want.norm()


@pytest.mark.parametrize("name", OPTIONS)
def test_gradients_of_the_cpu(name):
    grads = []
    for move in (lambda x: x.double(), lambda x: x.cuda()):
        tensors = [move(x).detach().requires_grad_() for x in inputs(T=200)]
        ridge_attention(*tensors, 0.5, **OPTIONS[name]).square().mean().backward()
        grads.append([x.grad.cpu().double() for x in tensors])
    for want, got in zip(*grads):
        assert (got - want).norm() <= 1e-4 * want.norm()


def test_the_state_of_the_cpu():
    q, k, v = inputs(T=100)
    here = RidgeAttentionState(0.5, 64, 64, (2, 3)).update(k, v)
    there = RidgeAttentionState(0.5, 64, 64, (2, 3), device="cuda").update(
        k.cuda(), v.cuda()
    )
    torch.testing.assert_close(
        there.attend(q.cuda()).cpu(), here.attend(q), rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(
        here.map(lambda x: x.cuda()).attend(q.cuda()),
        there.attend(q.cuda()),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("decay", [None, 0.9])
def test_token_by_token(decay):
    q, k, v = inputs(T=40)
    here = RidgeAttentionState(0.5, 64, 64, (2, 3))
    there = here.map(lambda x: x.cuda())
    for t in range(40):
        here.update(k[:, :, t], v[:, :, t], decay)
        there.update(k[:, :, t].cuda(), v[:, :, t].cuda(), decay)
    torch.testing.assert_close(
        there.attend(q.cuda()).cpu(), here.attend(q), rtol=1e-4, atol=1e-5
    )


def test_a_head_chooses_its_penalty():
    _, k, v = inputs(T=100)
    torch.testing.assert_close(
        head_lam(k.cuda(), v.cuda()).cpu(), head_lam(k, v), rtol=1e-4, atol=0
    )


@pytest.mark.parametrize("name", ["full", "causal"])
def test_a_graph_replays(name):
    static = [x.cuda() for x in inputs(T=300)]
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            ridge_attention(*static, 0.5, **OPTIONS[name])
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = ridge_attention(*static, 0.5, **OPTIONS[name])
    fresh = [x.cuda() for x in inputs(T=300, seed=1)]
    for old, new in zip(static, fresh):
        old.copy_(new)
    graph.replay()
    torch.testing.assert_close(
        out, ridge_attention(*fresh, 0.5, **OPTIONS[name]), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", OPTIONS)
def test_compiles_without_a_break(name):
    tensors = [x.cuda() for x in inputs(T=100)]
    compiled = torch.compile(
        lambda *x: ridge_attention(*x, 0.5, **OPTIONS[name]), fullgraph=True
    )
    torch.testing.assert_close(
        compiled(*tensors),
        ridge_attention(*tensors, 0.5, **OPTIONS[name]),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_bad_penalty_is_nan_without_stalling():
    tensors = [x.cuda() for x in inputs(T=50)]
    lam = torch.tensor([1.0, -1.0, 1.0], device="cuda")
    out = ridge_attention(*tensors, lam, is_causal=True)
    assert out[:, 1].isnan().all() and out[:, 0].isfinite().all()
