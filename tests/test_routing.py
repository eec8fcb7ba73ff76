"""Scores, masks and pruned weights: on models of a library, for odd sizes, and when they are asked for what cannot be."""

import copy
import os
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from test_gates import SMALL

from olsattention.models.capture import capture_attention
from olsattention.models.gates import (
    ablation_effects,
    closing,
    gate_gradients,
    head_gates,
    integrated_gradients,
    set_means,
)
from olsattention.models.importance import (
    SCORES,
    head_scores,
    rank_correlation,
    rank_heads,
)
from olsattention.models.routing import (
    HeadMask,
    ablate,
    budget_curve,
    head_modes,
    mode_scores,
    pruned_model,
    pruned_state_dict,
    route,
)

transformers = pytest.importorskip("transformers")
MODELS = {
    "Bert": SMALL,
    "Llama": SMALL | dict(num_key_value_heads=2, attention_bias=True),
    "GPT2": dict(vocab_size=60, n_embd=32, n_layer=2, n_head=4),
}
# heads can be removed there, too; its gates are tested elsewhere
OTHERS = {
    "DistilBert": dict(vocab_size=60, dim=32, hidden_dim=40, n_layers=2, n_heads=4),
}
TOKENS = torch.randint(3, 60, (3, 9), generator=torch.Generator().manual_seed(0))


def build(name, dtype=torch.float64):
    torch.manual_seed(0)
    config = getattr(transformers, name + "Config")(**(MODELS | OTHERS)[name])
    return getattr(transformers, name + "Model")(config).to(dtype).eval()


def gated(model):
    """Gates with means, and a loss."""
    shape = (3, 9, 32)
    target = torch.randn(shape, generator=torch.Generator().manual_seed(1))

    def loss():
        return (model(TOKENS).last_hidden_state * target.to(model.dtype)).mean()

    gates = head_gates(model, loss)
    return set_means(gates, lambda: model(TOKENS.flip(0, 1) + 0)), loss


def hooks_of(model):
    return sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in model.modules())


@pytest.mark.parametrize("name", MODELS)
def test_scores_are_what_they_say(name):
    model = build(name)
    gates, loss = gated(model)
    table = head_scores(gates, loss, steps=5)
    assert list(table) == ["layer", "name", "head", *SCORES] and len(table) == 8
    assert np.allclose(table["taylor"], gate_gradients(gates, loss), rtol=1e-5, atol=1e-9)
    assert np.allclose(table["integrated"], integrated_gradients(gates, loss, 5))
    assert (table["taylor_abs"] >= table["taylor"].abs() - 1e-12).all()
    # the energy of a head is that of what the projection's output gains by it
    layer, name = list(gates.projections.items())[1]
    module, seen = model.get_submodule(name), []
    hook = module.register_forward_hook(lambda module, args, out: seen.append(out.detach()))
    with torch.no_grad():
        loss()
        values = torch.ones(8)
        values[6] = 0
        with closing(gates, values):
            loss()
    hook.remove()
    energy = (seen[0] - seen[1]).square().sum(-1).mean()
    assert np.isclose(table["energy"][6], energy, rtol=1e-6)
    assert hooks_of(model) == 0


def test_heads_that_share_keys_share_the_sources_importance():
    gates, loss = gated(build("Llama"))
    table = head_scores(gates, loss, steps=1)
    for column in ("source_summed", "source_top", "source_pooled"):
        pairs = table[column].to_numpy().reshape(4, 2)
        assert (pairs[:, 0] == pairs[:, 1]).all() and np.ptp(pairs[:, 0]) > 0
    assert table["energy"].nunique() == 8


def test_scores_leave_nothing_behind_and_frozen_weights_alone():
    model = build("Bert").requires_grad_(False)
    gates, loss = gated(model)
    table = head_scores(gates, loss, steps=2)
    thawed = build("Bert")
    others, its_loss = gated(thawed)
    assert np.allclose(table["michel"], head_scores(others, its_loss, steps=2)["michel"])
    assert all(p.grad is None for p in thawed.parameters())
    with pytest.raises(ZeroDivisionError):
        head_scores(gates, lambda: 1 / 0)
    assert hooks_of(model) == 0
    gates.means.clear()
    with pytest.raises(ValueError, match="call set_means"):
        head_scores(gates, loss)


def test_half_precision():
    model = build("Bert", torch.bfloat16)
    gates, loss = gated(model)
    table = head_scores(gates, loss, steps=2)
    assert np.isfinite(table[list(SCORES)].to_numpy()).all()
    mask = route(gates, table, 5)
    with torch.no_grad(), ablate(model, mask):
        assert model(TOKENS).last_hidden_state.dtype == torch.bfloat16
    with (
        pytest.raises(ValueError, match="changed its precision"),
        ablate(model.float(), mask),
    ):
        pass


@given(st.integers(3, 40), st.integers(3, 7), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_a_rank_correlation_holds_its_interval(m, G, seed):
    rng = np.random.default_rng(seed)
    score, effect = rng.standard_normal((2, m))
    groups = np.arange(m) % min(G, m)
    found = rank_correlation(score, effect, groups)
    assert -1 <= found.low <= found.rho <= found.high <= 1
    assert np.isclose(found.rho, spearmanr(score, effect).statistic, atol=1e-8)
    mirrored = rank_correlation(-score, effect, groups)
    assert np.allclose([mirrored.low, mirrored.high], [-found.high, -found.low])
    monotone = rank_correlation(np.exp(score), effect**3, groups)
    assert np.allclose([monotone.low, monotone.high], [found.low, found.high])


def test_rank_correlations_that_cannot_be():
    assert np.isnan(rank_correlation([1, 1, 1], [1, 2, 3]).rho)
    for args, message in [
        (([1, 2, 3], [1, 2, 3], [0, 0, 1]), "at least three groups, got 2"),
        (([1, 2, 3], [1, 2]), "as long as there are heads"),
        (([1, 2, 3], [1, np.inf, 3]), "effect must be finite, got inf at 1"),
        (([1, 2, 3], [1, 2, 3], None, 1.0), "level must lie between 0 and 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            rank_correlation(*args)


@pytest.mark.parametrize("name", MODELS)
def test_a_mask_is_a_closed_gate_is_a_pruned_state(name, tmp_path):
    model = build(name)
    gates, loss = gated(model)
    table = head_scores(gates, loss, steps=1)
    modes = head_modes(gates, lambda: model(TOKENS))
    by_mode = mode_scores(gates, modes, loss, steps=4)
    whole = integrated_gradients(gates, loss, 4)
    sums = by_mode.groupby(["layer", "head"])["integrated"].sum()
    # norms of Llama compute in single precision, whatever the model's
    assert np.allclose(sums, whole, rtol=1e-5, atol=1e-7)
    for mask in (route(gates, table, 3), route(gates, by_mode, 0.4, modes=modes)):
        mask.save(tmp_path / "mask.pt")
        mask = HeadMask.load(tmp_path / "mask.pt")
        with torch.no_grad(), ablate(model, mask):
            routed = model(TOKENS).last_hidden_state
        assert hooks_of(model) == 0
        pruned = copy.deepcopy(model)
        pruned.load_state_dict(pruned_state_dict(model, mask))
        with torch.no_grad():
            assert torch.allclose(pruned(TOKENS).last_hidden_state, routed, atol=1e-5)
            assert not torch.allclose(model(TOKENS).last_hidden_state, routed, atol=1e-5)
    values = torch.cat([keep.double() for keep in route(gates, table, 3).keep.values()])
    with torch.no_grad(), closing(gates, values):
        wanted = float(loss())
    curves = budget_curve(gates, table, loss, [0, 3, 8], ["integrated", "random"])
    assert np.isclose(curves.loc[3, "integrated"], wanted, rtol=1e-9)
    assert np.isclose(*curves.loc[0]) and np.isclose(
        curves.loc[8, "random"], float(loss().detach())
    )


def test_all_or_nothing():
    model = build("GPT2")
    gates, loss = gated(model)
    modes = head_modes(gates, lambda: model(TOKENS))
    by_mode = mode_scores(gates, modes, loss, steps=1)
    table = head_scores(gates, loss, steps=1)
    for budget, value in ((0, 0.0), (1.0, 1.0)):
        with torch.no_grad(), closing(gates, torch.full((8,), value)):
            wanted = model(TOKENS).last_hidden_state
        for mask in (
            route(gates, table, budget),
            route(gates, by_mode, budget, modes=modes),
        ):
            with torch.no_grad(), ablate(model, mask):
                assert torch.allclose(model(TOKENS).last_hidden_state, wanted, atol=1e-9)
    full = route(gates, table, 8)
    assert len(full) == 8 and "8 of 8 heads of GPT2Model kept" in repr(full)


def test_what_cannot_be_is_refused_and_changes_nothing():
    model, other = build("Bert"), build("Bert")
    gates, loss = gated(model)
    table = head_scores(gates, loss, steps=1)
    mask = route(gates, table, 3)
    with torch.no_grad():
        other.encoder.layer[1].attention.output.dense.weight[0, 0] += 1e-6
    before = {name: x.clone() for name, x in other.state_dict().items()}
    for wrong, error, message in [
        (
            lambda: route(gates, table, 9),
            ValueError,
            "between 0 and 8, all there are, got 9",
        ),
        (lambda: route(gates, table, -1), ValueError, "got -1"),
        (lambda: route(gates, table, float("nan")), ValueError, "got nan"),
        (lambda: route(gates, table, "3"), TypeError, "budget must be a number of heads"),
        (lambda: route(gates, table, 3, "weight"), ValueError, "no column 'weight'"),
        (lambda: route(gates, table[1:], 3), ValueError, "each of the 8 heads, got 7"),
        (lambda: rank_heads(table.assign(a=np.nan), "a"), ValueError, "NaN for head 0"),
        (lambda: ablate(other, mask).__enter__(), ValueError, "another BertModel"),
        (
            lambda: ablate(build("GPT2"), mask).__enter__(),
            ValueError,
            "this GPT2Model has no",
        ),
        (lambda: pruned_state_dict(other, mask), ValueError, "another BertModel"),
    ]:
        with pytest.raises(error, match=message):
            wrong()
    assert hooks_of(other) == 0
    assert all(torch.equal(x, before[name]) for name, x in other.state_dict().items())
    with torch.no_grad(), ablate(other, mask, check=False):
        assert hooks_of(other) == 2
    with pytest.raises(ZeroDivisionError), ablate(model, mask):
        raise ZeroDivisionError
    assert hooks_of(model) == 0


def test_a_projection_without_a_bias_needs_one_for_the_means(tmp_path):
    torch.manual_seed(0)
    config = transformers.LlamaConfig(**MODELS["Llama"] | dict(attention_bias=False))
    model = transformers.LlamaModel(config).eval()
    gates, loss = gated(model)
    mask = route(gates, head_scores(gates, loss, steps=1), 5)
    with pytest.raises(ValueError, match="o_proj has no bias"):
        pruned_state_dict(model, mask)
    config.attention_bias = True
    biased = transformers.LlamaModel(config).eval()
    state = pruned_state_dict(model, mask, add_bias=True)
    missing = biased.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys
    with torch.no_grad():
        for name in missing.missing_keys:  # biases of queries, keys and values
            biased.get_parameter(name).zero_()
        wanted = biased(TOKENS).last_hidden_state
        with ablate(model, mask):
            assert torch.allclose(model(TOKENS).last_hidden_state, wanted, atol=1e-5)


def test_a_file_that_holds_no_mask(tmp_path):
    torch.save({"keep": 1}, tmp_path / "other.pt")
    (tmp_path / "text.pt").write_text("nothing")
    for name in ("other.pt", "text.pt"):
        with pytest.raises(ValueError, match="holds no mask of heads"):
            HeadMask.load(tmp_path / name)


def test_a_mask_whose_parts_do_not_fit_is_no_mask(tmp_path):
    gates, loss = gated(build("Bert"))
    table = head_scores(gates, loss, steps=1)
    modes = head_modes(gates, lambda: gates.model(TOKENS))
    by_mode = mode_scores(gates, modes, loss, steps=1)
    wholes = route(gates, table, 3), route(gates, by_mode, 5, modes=modes)
    layer = next(iter(gates.projections))
    for mask in wholes:
        mask.save(tmp_path / "mask.pt")
        assert len(HeadMask.load(tmp_path / "mask.pt")) == len(mask)
        for part, wrong in [
            ("keep", 3),
            ("keep", {}),
            ("keep", mask.keep | {layer: torch.ones(7).bool()}),
            ("keep", mask.keep | {layer: mask.keep[layer].double()}),
            ("means", mask.means | {"x": torch.zeros(4, 8)}),
            ("means", mask.means | {layer: torch.zeros(4)}),
            ("modes", {layer: torch.zeros(4, 8, 8)}),
            ("mark", 3),
            ("projections", {layer: 5}),
            ("extra", 1),
        ]:
            torch.save(asdict(mask) | {part: wrong}, tmp_path / "wrong.pt")
            with pytest.raises(ValueError, match="holds no mask of heads"):
                HeadMask.load(tmp_path / "wrong.pt")


LIMITED = """
import resource, signal, sys
import torch
from olsattention import HeadMask
mask = HeadMask.load(sys.argv[1] + "/mask.pt")
mask.means = {layer: torch.zeros(4, 10**6) for layer in mask.means}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    mask.save(sys.argv[1] + "/mask.pt")
    sys.exit(1)
except OSError:
    pass
"""


def test_a_disk_that_fills_up_leaves_the_mask_that_was_there(tmp_path):
    pytest.importorskip("resource")
    gates, loss = gated(build("Bert"))
    mask = route(gates, head_scores(gates, loss, steps=1), 3)
    mask.save(tmp_path / "mask.pt")
    subprocess.run([sys.executable, "-c", LIMITED, tmp_path], check=True)
    assert os.listdir(tmp_path) == ["mask.pt"]
    assert len(HeadMask.load(tmp_path / "mask.pt")) == 3


def test_effects_and_curves_agree_on_single_heads():
    gates, loss = gated(build("Bert"))
    effects = ablation_effects(gates, loss)
    table = head_scores(gates, loss, steps=1)
    for h in (0, 5):
        table["all but one"] = np.arange(8) != h
        curve = budget_curve(gates, table, loss, [7, 8], ["all but one"])["all but one"]
        assert np.isclose(curve[7] - curve[8], effects[h], atol=1e-12)


@pytest.mark.parametrize("kept", [0, 1, 3, 7, 8])
@pytest.mark.parametrize("name", ["Bert", "Llama", "DistilBert"])
def test_heads_that_are_removed_are_gone_and_the_answer_stays(name, kept, tmp_path):
    model = build(name, torch.float32)
    gates, loss = gated(model)
    mask = route(gates, head_scores(gates, loss, steps=1), kept)
    before = {key: x.clone() for key, x in model.state_dict().items()}
    pruned = pruned_model(model, mask, lambda m: m(TOKENS).last_hidden_state)
    torch.save(pruned, tmp_path / "pruned.pt")
    again = torch.load(tmp_path / "pruned.pt", weights_only=False)
    other = TOKENS.flip(1)
    with torch.no_grad():
        with ablate(model, mask):
            wanted = model(other).last_hidden_state
        assert torch.allclose(again(other).last_hidden_state, wanted, atol=1e-5)
        again.set_attn_implementation("eager")
        assert torch.allclose(again(other).last_hidden_state, wanted, atol=1e-5)
    with torch.no_grad(), capture_attention(again) as captured:
        again(other)
    sizes = [
        max(len(keep.reshape(-1, groups)[keep.reshape(-1, groups).any(1)]), 1) * groups
        for keep in mask.keep.values()
        for groups in [2 if name == "Llama" else 1]
    ]
    assert list(captured.heads.values()) == sizes
    assert all(torch.equal(x, before[key]) for key, x in model.state_dict().items())
    assert sum(sizes) == 8 or sum(p.numel() for p in again.parameters()) < sum(
        p.numel() for p in model.parameters()
    )


def test_a_causal_model_without_some_heads_generates_with_its_cache():
    torch.manual_seed(0)
    config = transformers.LlamaConfig(**MODELS["Llama"] | dict(attention_bias=False))
    model = transformers.LlamaForCausalLM(config).eval()

    def run():
        return model(TOKENS).logits

    gates = set_means(head_gates(model, run), run)
    table = head_scores(gates, lambda: run().square().mean(), steps=1)
    mask = route(gates, table.assign(integrated=[1, 1, 0, 0, 0, 0, 1, 0]), 3)
    pruned = pruned_model(model, mask, lambda m: m(TOKENS).logits)
    options = dict(max_new_tokens=5, do_sample=False, pad_token_id=0)
    with ablate(model, mask):
        wanted = model.generate(TOKENS, **options)
    assert torch.equal(pruned.generate(TOKENS, **options), wanted)


class CountsElsewhere(torch.nn.Module):
    """Attention that knows its number of heads by heart: 4."""

    def __init__(self):
        super().__init__()
        for name in ("query", "key", "value", "out"):
            setattr(self, name, torch.nn.Linear(32, 32))

    def forward(self, x):
        q, k, v = (
            m(x).unflatten(-1, (4, -1)).transpose(1, 2)
            for m in (self.query, self.key, self.value)
        )
        z = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(z.transpose(1, 2).flatten(2))


def test_heads_that_cannot_be_removed_are_refused():
    gpt = build("GPT2", torch.float32)
    gates, loss = gated(gpt)
    mask = route(gates, head_scores(gates, loss, steps=1), 3)

    def answer(m):
        return m(TOKENS).last_hidden_state

    with pytest.raises(ValueError, match="h.0.attn does not make queries, keys and values"):
        pruned_model(gpt, mask, answer)
    with pytest.raises(ValueError, match="another GPT2Model|no module"):
        pruned_model(build("Bert", torch.float32), mask, answer)
    torch.manual_seed(0)
    model, x = CountsElsewhere(), torch.randn(2, 5, 32)
    gates = head_gates(model, lambda: model(x))
    set_means(gates, lambda: model(x))
    table = head_scores(gates, lambda: model(x).square().mean(), steps=1)
    with pytest.raises(ValueError, match="counts heads in a place that is not known"):
        pruned_model(model, route(gates, table, 2), lambda m: m(x))
    with pytest.raises(ValueError, match="counts heads in a place that is not known"):
        pruned_model(model, route(gates, table, 1), lambda m: m(x))
