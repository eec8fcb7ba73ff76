"""Chapter 6h: what ridge attention is compared with."""

import numpy as np
import pytest
import torch

from olsattention.attention.relatives import (
    delta_rule,
    local_linear_weights,
    softmax_weights,
)

GAP = np.concatenate([np.linspace(0, 0.3, 40), np.linspace(0.7, 1, 40)])[:, None]


@pytest.mark.parametrize("place", [-5.0, -0.3, 0.1, 0.3, 0.31, 0.45, 0.5, 0.9, 1.3, 4.0])
@pytest.mark.parametrize("length", [1e-3, 1e-2, 0.1, 1.0])
def test_local_lines_far_from_all_rows(place, length):
    """Rows sum to 1 in any case, and give a line back unless all rows but the nearest underflow."""
    W = local_linear_weights(np.array([[place]]), GAP, length)[0]
    size = np.abs(W).sum()
    assert np.isfinite(W).all()
    assert abs(W.sum() - 1) <= 1e-14 * size
    if np.count_nonzero(W) > 1:
        assert abs(W @ (3 * GAP[:, 0] + 2) - (3 * place + 2)) <= 1e-12 * size
    else:
        assert W.max() == 1 and W.argmax() == np.abs(GAP[:, 0] - place).argmin()


def test_local_lines_of_torch_and_in_single_precision():
    want = local_linear_weights(np.array([[1.3], [0.5]]), GAP, 0.05)
    for dtype, tol in ((torch.float64, 1e-12), (torch.float32, 1e-4)):
        new, rows = (
            torch.tensor([[1.3], [0.5]], dtype=dtype),
            torch.tensor(GAP, dtype=dtype),
        )
        got = local_linear_weights(new, rows, 0.05)
        assert got.dtype == dtype
        assert np.abs(got.numpy() - want).max() <= tol * np.abs(want).max()


def test_local_planes_need_more_than_a_line_of_rows():
    """Rows on a line tell no slope across it: the plane is level there."""
    rng = np.random.default_rng(0)
    along = rng.uniform(size=(30, 1))
    X = along @ np.array([[3.0, 4.0]]) / 5
    across = np.array([[4.0, -3.0]]) / 5
    new = 0.4 * np.array([[3.0, 4.0]]) / 5
    W = local_linear_weights(new, X, 0.2)
    assert np.abs(local_linear_weights(new + 0.01 * across, X, 0.2) - W).max() <= 1e-12
    assert abs(W.sum() - 1) <= 1e-13
    assert abs(W @ along - 0.4).max() <= 1e-13
    cloud = rng.normal(size=(50, 3))
    W = local_linear_weights(cloud[:7] + 0.1, cloud, 0.5)
    assert np.abs(W @ cloud - cloud[:7] - 0.1).max() <= 1e-12


@pytest.mark.parametrize("lengths", [(4, 5, 5), (5, 5, 4), (5, 4, 5), (1, 5, 5), (5, 1, 1)])
def test_the_delta_rule_needs_a_query_and_a_value_for_every_key(lengths):
    query, key, value = (torch.ones(2, T, 3) for T in lengths)
    with pytest.raises(ValueError, match="a query for every key|agree in all but"):
        delta_rule(query, key, value)


def test_softmax_weights_are_those_of_scores():
    q, k = torch.randn(2, 3, 4).double(), torch.randn(2, 5, 4).double()
    want = torch.nn.functional.scaled_dot_product_attention(q, k, torch.eye(5).double())
    assert (softmax_weights(q, k) - want).abs().max() <= 1e-14
    with pytest.raises(ValueError, match="same leading dimensions"):
        softmax_weights(q[:1], k)
