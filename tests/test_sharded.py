"""Ridge attention over shards: real processes with gloo, 2 and 3 ranks, against a single process."""

import os
import time
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.distributed.device_mesh import init_device_mesh

from olsattention import ridge_attention, sharded_ridge_attention
from olsattention.practice.sharded import bytes_sent

CUTS = {2: (0, 37, 64), 3: (0, 20, 20, 64), 4: (0, 5, 6, 40, 64)}  # uneven, one empty


def cases():
    g = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=g)

    B, H, T, d, d_v = 2, 2, 64, 8, 6
    q, k, v = normal(B, H, T, d), normal(B, H, T, d), normal(B, H, T, d_v)
    many = normal(B, 3 * H, T, d)
    mask = torch.rand(B, T, generator=g) > 0.3
    gates = torch.rand(B, H, T, generator=g) * 0.3 + 0.7
    holes = torch.where(mask[:, None, :, None], k, torch.nan)
    lam = torch.tensor([0.5, 2.0])
    yield "full", (q, k, v), {}, {"lam": lam}
    yield "full, padded", (q, holes, v), {"key_mask": mask}, {"lam": 0.5}
    yield "full, grouped", (many, k, v), {}, {"lam": 0.5, "enable_gqa": True}
    causal = {"lam": lam, "is_causal": True}
    yield "causal", (q, k, v), {}, causal
    yield "causal, padded", (q, holes, v), {"key_mask": mask}, causal
    yield (
        "causal, grouped, padded",
        (many, k, v),
        {"key_mask": mask},
        {**causal, "enable_gqa": True},
    )
    yield "gates", (q, k, v), {"decay": gates}, causal
    yield "gates, padded", (q, holes, v), {"decay": gates, "key_mask": mask}, causal
    resets = torch.where(torch.rand(B, H, T, generator=g) < 0.1, 0.0, gates)
    yield "gates that reset", (q, k, v), {"decay": resets}, causal
    yield "double", tuple(x.double() for x in (q, k, v)), {}, {**causal, "lam": 0.3}


def outcome(attend, tensors, along, options):
    """Outputs and derivatives of a loss, by every floating tensor and by lam."""
    tensors = [x.clone().requires_grad_() for x in tensors]
    lam = options["lam"]
    lam = lam.clone().requires_grad_() if isinstance(lam, torch.Tensor) else lam
    asked = {
        name: x.clone().requires_grad_() if x.is_floating_point() else x
        for name, x in along.items()
    }
    out = attend(*tensors, **asked, **options | {"lam": lam})
    weight = torch.linspace(0.5, 1.5, out.shape[-1], dtype=out.dtype)
    (out.pow(2) * weight).sum().backward()
    by = [x.grad for x in tensors]
    by += [x.grad for x in asked.values() if x.is_floating_point()]
    by_lam = lam.grad if isinstance(lam, torch.Tensor) else torch.zeros(1)
    return [out.detach(), *by], by_lam


def begin(rank, size, folder, timeout=60):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meet",
        rank=rank,
        world_size=size,
        timeout=timedelta(seconds=timeout),
    )


def run_cases(rank, size, folder):
    begin(rank, size, folder)
    mesh = init_device_mesh("cpu", (size,)) if size == 2 else None
    a, b = CUTS[size][rank : rank + 2]
    found = {}
    for name, tensors, along, options in cases():
        shard = [x[:, :, a:b] for x in tensors]
        beside = {key: x[..., a:b] for key, x in along.items()}
        found[name] = outcome(
            lambda *args, **more: sharded_ridge_attention(*args, group=mesh, **more),
            shard,
            beside,
            options,
        )
    found["nan"] = with_a_nan(rank)
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def with_a_nan(rank):
    """The errors of both forms if there is a NaN on rank 0."""
    q, k, v = torch.randn(3, 2, 16, 4)
    k[1, 3, 2] = torch.nan if rank == 0 else 0.0
    messages = []
    for causal in (False, True):
        try:
            sharded_ridge_attention(q, k, v, 1.0, is_causal=causal)
        except ValueError as error:
            messages.append(str(error))
    return messages


@pytest.fixture(scope="module", params=[2, 3, pytest.param(4, marks=pytest.mark.slow)])
def found(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    mp.spawn(run_cases, (request.param, str(folder)), request.param)
    return [torch.load(folder / f"{rank}.pt") for rank in range(request.param)]


@pytest.mark.parametrize("name", [case[0] for case in cases()])
def test_shards_give_what_a_single_process_gives(found, name):
    _, tensors, along, options = next(case for case in cases() if case[0] == name)
    wanted, by_lam = outcome(ridge_attention, tensors, along, options)
    tol = 1e-10 if name == "double" else 1e-5
    for i, want in enumerate(wanted):
        dim = 2  # of tokens, in outputs, keys, values and gates (B, H, T)
        got = torch.cat([ranks[name][0][i] for ranks in found], dim)
        assert (got - want).abs().max() <= tol * max(want.abs().max(), 1e-3), i
    summed = sum(ranks[name][1] for ranks in found)
    assert (summed - by_lam).abs().max() <= 10 * tol * max(by_lam.abs().max(), 1)


# ---- what goes wrong ---------------------------------------------------------------------------------------


def with_a_dead_rank(rank, size, folder):
    begin(rank, size, folder, timeout=8)
    q, k, v = torch.randn(3, 2, 16, 4)
    sharded_ridge_attention(q, k, v, 1.0)  # everybody is there
    if rank == 1:
        os._exit(17)  # without a word
    heard = []
    # a causal rank hears of those before it only
    for causal in (True, False) if rank == 2 else (False,):
        start = time.monotonic()
        try:
            for _ in range(3):
                sharded_ridge_attention(q, k, v, 1.0, is_causal=causal)
        except RuntimeError as error:
            heard.append((str(error), time.monotonic() - start))
    torch.save(heard, f"{folder}/{rank}.pt")
    os._exit(0)


def test_a_rank_that_dies_is_an_error_within_the_timeout(tmp_path):
    context = mp.get_context("spawn")
    ranks = [
        context.Process(target=with_a_dead_rank, args=(rank, 3, str(tmp_path)))
        for rank in range(3)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(120)
    assert [process.exitcode for process in ranks] == [0, 17, 0]
    for rank, errors in ((0, 1), (2, 2)):
        heard = torch.load(tmp_path / f"{rank}.pt")
        assert len(heard) == errors
        for message, waited in heard:
            assert f"rank {rank} of 3 could not exchange moments" in message
            assert waited < 60


def test_a_nan_reaches_every_rank_as_an_error(found):
    for rank, ranks in enumerate(found):
        full, causal = ranks["nan"]
        if rank == 0:
            assert full == causal and "key contains nan at (1, 3, 2)" in full
        else:
            assert full == causal and "another rank's shard" in full


@pytest.fixture
def alone(tmp_path):
    begin(0, 1, str(tmp_path))
    yield
    dist.destroy_process_group()


def test_one_rank_is_a_group_too(alone):
    q, k, v = torch.randn(3, 2, 3, 16, 4)
    for causal in (False, True):
        ours = sharded_ridge_attention(q, k, v, 0.5, is_causal=causal)
        theirs = ridge_attention(q, k, v, 0.5, is_causal=causal)
        assert torch.allclose(ours, theirs, atol=1e-5)
    half = sharded_ridge_attention(q.bfloat16(), k.bfloat16(), v.bfloat16(), 0.5)
    assert half.dtype == torch.bfloat16


def test_shards_that_do_not_fit(alone):
    q, k, v = torch.randn(3, 2, 3, 16, 4)
    for arguments, options, message in [
        ((q, k, v[..., :9, :], 1.0), {}, "agree"),
        ((q, k, v, -1.0), {}, "lam must be > 0"),
        ((q[..., :9, :], k, v, 1.0), {"is_causal": True}, "a query for every key"),
        ((q, k, v, 1.0), {"decay": 0.9}, "is_causal=True"),
        ((q[:, :2], k, v, 1.0), {}, "same leading dimensions"),
        ((q, k, v, 1.0), {"group": init_device_mesh("cpu", (1, 1))}, "one dimension"),
    ]:
        with pytest.raises(ValueError, match=message):
            sharded_ridge_attention(*arguments, **options)
    with pytest.raises(TypeError, match="key_mask must be a tensor of bool"):
        sharded_ridge_attention(q, k, v, 1.0, key_mask=torch.ones(16))


def test_without_a_group():
    q, k, v = torch.randn(3, 2, 16, 4)
    with pytest.raises(RuntimeError, match="init_process_group"):
        sharded_ridge_attention(q, k, v, 1.0)


def test_what_travels_does_not_grow_with_the_sequence():
    for form in ("full", "causal"):
        assert bytes_sent(form, 64, 10**3, 64, 64) == bytes_sent(form, 64, 10**6, 64, 64)
        assert bytes_sent(form, 1, 10, 64, 64) == 0
    assert bytes_sent("ring", 64, 2 * 10**6, 64, 64) == 2 * bytes_sent(
        "ring", 64, 10**6, 64, 64
    )
    with pytest.raises(ValueError, match="form must be"):
        bytes_sent("other", 2, 3, 4, 5)
