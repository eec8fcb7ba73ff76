"""Gates on the heads of models: found whatever their names, open without a trace, closed to the letter."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from olsattention import CaptureError
from olsattention.models.gates import (
    ablation_effects,
    closing,
    gate_gradients,
    head_gates,
    integrated_gradients,
    set_means,
)

transformers = pytest.importorskip("transformers")
SMALL = dict(
    vocab_size=60,
    hidden_size=32,
    intermediate_size=40,
    num_hidden_layers=2,
    num_attention_heads=4,
)
MODELS = {
    "Bert": (SMALL, "encoder.layer.{}.attention.output.dense"),
    "Llama": (SMALL | dict(num_key_value_heads=2), "layers.{}.self_attn.o_proj"),
    "GPT2": (dict(vocab_size=60, n_embd=32, n_layer=2, n_head=4), "h.{}.attn.c_proj"),
    "DistilBert": (
        dict(vocab_size=60, dim=32, hidden_dim=40, n_layers=2, n_heads=4),
        "transformer.layer.{}.attention.out_lin",
    ),
}
TOKENS = torch.randint(3, 60, (2, 9), generator=torch.Generator().manual_seed(0))


def build(name, attention):
    torch.manual_seed(0)
    config = getattr(transformers, name + "Config")(
        **MODELS[name][0], attn_implementation=attention
    )
    return getattr(transformers, name + "Model")(config).double().eval()


def hooks_of(model):
    return sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in model.modules())


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", MODELS)
def test_the_heads_of_a_model_are_gated_at_their_projection(name, attention):
    model = build(name, attention)

    target = torch.randn(2, 9, 32, generator=torch.Generator().manual_seed(1)).double()

    def loss():
        return (model(TOKENS).last_hidden_state * target).sum()

    gates = head_gates(model, loss)
    assert list(gates.projections.values()) == [MODELS[name][1].format(i) for i in range(2)]
    assert len(gates) == 8 and hooks_of(model) == 0
    set_means(gates, lambda: model(TOKENS.flip(1)))
    # Llama's norms compute in single precision, whatever the model's
    tol = dict(rtol=1e-3, atol=1e-3) if name == "Llama" else dict(rtol=1e-6, atol=1e-9)
    with torch.no_grad():
        bare = float(loss())
        with closing(gates, torch.ones(8)):
            assert np.isclose(float(loss()), bare, rtol=1e-12)
        with closing(gates, torch.zeros(8)):
            closed = float(loss())
    scores = integrated_gradients(gates, loss, 24)
    assert np.isclose(scores.sum(), closed - bare, **tol)
    # what a gate does when it moves a little
    slopes, moved, step = gate_gradients(gates, loss), [], 1e-2
    for sign in (1, -1):
        values = torch.ones(8, dtype=torch.float64)
        values[3] -= sign * step
        with torch.no_grad(), closing(gates, values):
            moved.append(float(loss()))
    assert np.isclose((moved[0] - moved[1]) / (2 * step), slopes[3], rtol=2e-3, atol=1e-3)
    assert hooks_of(model) == 0


def test_an_effect_is_that_of_a_constant_in_the_projection():
    model = build("Llama", "sdpa")

    def loss():
        return F.cross_entropy(
            model(TOKENS).last_hidden_state.flatten(0, 1), TOKENS.flatten() % 32
        )

    gates = set_means(head_gates(model, loss), loss)
    effects = ablation_effects(gates, loss)
    with torch.no_grad():
        bare, out = loss(), model.layers[1].self_attn.o_proj
        columns, weight = slice(8, 16), out.weight.clone()
        constant = weight[:, columns] @ gates.means["layers.1.self_attn"][1]
        out.weight[:, columns] = 0
        out.bias = torch.nn.Parameter(constant)
        assert np.isclose(effects[5], loss() - bare, atol=1e-12)


def test_nothing_is_left_behind_after_an_exception():
    model = build("Bert", "sdpa")
    gates = head_gates(model, lambda: model(TOKENS))
    for wrong in (
        lambda: head_gates(model, lambda: 1 / 0),
        lambda: set_means(gates, lambda: 1 / 0),
        lambda: ablation_effects(gates, lambda: 1 / 0),
        lambda: integrated_gradients(gates, lambda: 1 / 0),
    ):
        with pytest.raises(ZeroDivisionError):
            wrong()
        assert hooks_of(model) == 0
    with (
        pytest.raises(ValueError, match="one for each head"),
        closing(gates, torch.ones(7)),
    ):
        pass
    with pytest.raises(ValueError, match="steps must be at least 1"):
        integrated_gradients(gates, lambda: model(TOKENS), 0)


def test_a_layer_without_a_projection_of_its_own_is_refused():
    layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    with pytest.raises(CaptureError, match="no place for a gate"):
        head_gates(layer, lambda: layer(torch.zeros(1, 3, 16)))
    assert hooks_of(layer) == 0
