"""Inputs that once gave a wrong number in silence, or an error that explained nothing."""

import math
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from olsattention import (
    CoulombeEmbedding,
    RankDeficiencyWarning,
    SpectralSmoother,
    attention_weights,
    hat_matrix,
    learn_embedding,
    loo_residuals,
    ols_coefficients,
    ridge_path,
    spectral_filter,
)

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(12, 3)), rng.normal(size=12)
UNITS = np.array([1e-6, 1.0, 1e6])


# ---- rank ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [lambda c: [c, c + 273.15], lambda c: [c, c[::-1], c + c[::-1]]]
)
def test_centring_does_not_turn_rounding_errors_into_rank(make):
    A = np.column_stack(make(20 + 0.5 * np.random.default_rng(1).normal(size=20)))
    rank = A.shape[1]  # with the constant, less the dependent column
    for call in (
        lambda: attention_weights(A, A, intercept=True),
        lambda: CoulombeEmbedding(intercept=True).fit(A),
        lambda: ridge_path(A, A[:, 0], [0.0], intercept=True),
    ):
        with pytest.warns(RankDeficiencyWarning):
            call()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RankDeficiencyWarning)
        assert np.trace(attention_weights(A, A, intercept=True)) == pytest.approx(
            rank, abs=1e-8
        )
        assert np.abs(ridge_path(A, Y[0] + A[:, 0], [0.0], True).coefficients).max() < 2
    assert SpectralSmoother.from_design(A, True).df(0.0) == rank


def test_single_precision_data_keep_directions_above_their_own_noise():
    r = np.random.default_rng(2)
    x = r.normal(size=10_000)
    F = np.column_stack([x, x + 3e-4 * r.normal(size=10_000)]).astype(np.float32)
    exact = SpectralSmoother.from_design(F.astype(float)).df(4e-5)
    assert SpectralSmoother.from_design(F).df(4e-5) == pytest.approx(exact, rel=1e-5)
    W, W64 = (
        attention_weights(np.ones((1, 2), F.dtype) * [1, -1], G, 4e-5)
        for G in (F, F.astype(float))
    )
    np.testing.assert_allclose(W, W64, atol=1e-5 * np.abs(W64).max())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_torch_keeps_columns_in_small_units(dtype):
    rows = torch.tensor(X * UNITS, dtype=dtype)
    b, _ = SpectralSmoother.from_design(rows).coefficients(
        torch.tensor(Y, dtype=dtype), 1e-3
    )
    A = rows.double().numpy()
    normal = A.T @ A + 1e-3 * np.eye(3)
    scale = np.sqrt(np.diag(normal))
    exact = np.linalg.solve(normal / np.outer(scale, scale), A.T @ Y / scale) / scale
    np.testing.assert_allclose(
        b.numpy(), exact, rtol=1e-7 if dtype == torch.float64 else 1e-5
    )


def test_noise_of_a_singular_gram_matrix_is_no_direction():
    A = np.random.default_rng(3).normal(size=(200, 5))
    y = A[:, 0] + np.random.default_rng(4).normal(size=200)
    s, design = SpectralSmoother.from_gram(A @ A.T), SpectralSmoother.from_design(A)
    for lam in (0.0, 1e-16, 1e-14, 1e-3):
        assert s.df(lam) == pytest.approx(design.df(lam), abs=1e-9)
        assert s.loo(y, lam) == pytest.approx(design.loo(y, lam), rel=1e-9)


def test_dependent_columns_are_named_without_the_intercept_counting_as_one():
    with pytest.warns(RankDeficiencyWarning, match="columns depend on one another: 0, 3"):
        attention_weights(
            np.column_stack([X, X[:, 0]]), np.column_stack([X, X[:, 0]]), intercept=True
        )


@pytest.mark.parametrize(
    "call",
    [
        lambda A: attention_weights(A, A),
        lambda A: CoulombeEmbedding().fit(A),
        hat_matrix,
        lambda A: ols_coefficients(A, Y),
        lambda A: ridge_path(A, Y, [0.0]),
    ],
)
def test_rank_warnings_point_at_the_caller(call):
    with pytest.warns(RankDeficiencyWarning) as caught:
        call(np.column_stack([X, X[:, 0]]))
    assert [w.filename for w in caught] == [__file__]


# ---- leverage one, extremes of the number range ----------------------------------------------------------------


def test_leverage_one_is_nan_and_never_a_number():
    for seed in range(100):
        square = np.random.default_rng(seed).normal(size=(3, 3))
        assert np.isnan(loo_residuals(square, [1.0, 2.0, 3.0])).all()
        A = np.zeros((9, 5))
        A[:3, :3], A[3:, 3:] = square, np.random.default_rng(seed).normal(size=(6, 2))
        errors = SpectralSmoother.from_design(A).loo_residuals(np.arange(9.0), 0.0)
        assert np.isnan(errors[:3]).all() and np.isfinite(errors[3:]).all()


def test_squares_out_of_range_are_an_error():
    for rows in (X.astype(np.float32) * np.float32(1e-23), X * 1e-165, X * 1e165):
        with pytest.raises(ValueError, match="leave the range of float"):
            SpectralSmoother.from_design(rows)
    tiny = X[:2].astype(np.float32) * np.float32(1e-19)
    assert np.isfinite(attention_weights(tiny, tiny, lam=1e-30, intercept=True)).all()


def test_lam_for_df_at_the_ends():
    s = SpectralSmoother.from_design(X * [1e-9, 1, 1e9])
    for df in (1e-40, 0.3, 2.9, 2.999999):
        assert s.df(s.lam_for_df(df)) == pytest.approx(df, rel=1e-9)


# ---- gradients -------------------------------------------------------------------------------------------------


def test_gradients_of_rank_deficient_designs_are_refused_or_right():
    rows = torch.tensor(np.column_stack([X, X.sum(1)]), requires_grad=True)
    for call in (SpectralSmoother.from_design, CoulombeEmbedding(0.5).fit):
        with pytest.raises(
            ValueError, match="rank deficient: its principal axes have no gradient"
        ):
            call(rows)
    queries = torch.tensor(np.column_stack([X, X.sum(1)])[:2])
    assert torch.autograd.gradcheck(lambda r: attention_weights(queries, r, 0.5), [rows])


def test_gradients_through_a_null_space_of_two_are_finite():
    for seed in range(40):
        r = np.random.default_rng(seed)
        B = torch.tensor(r.normal(size=(8, 8)), requires_grad=True)
        t, y = torch.tensor(r.normal(size=(8, 1))), torch.tensor(r.normal(size=8))
        SpectralSmoother.from_gram(B @ B.T, True, t).fit(y, 0.7).sum().backward()
        assert torch.isfinite(B.grad).all()


# ---- labels, dtypes, shapes ------------------------------------------------------------------------------------


def test_kernel_columns_must_be_the_training_rows_in_order():
    names = list("abcdefghijkl")
    K = pd.DataFrame(X @ X.T + np.eye(12), index=names, columns=names)
    s, new = SpectralSmoother.from_gram(K), pd.DataFrame(X[:2] @ X.T, columns=names)
    assert s.weights(new, 1.0).columns.tolist() == names
    for call in (
        lambda k: s.weights(k, 1.0),
        lambda k: s.predict(k, pd.Series(Y, names), 1.0),
    ):
        with pytest.raises(ValueError, match="another order"):
            call(new[names[::-1]])


def test_column_names_of_outcomes_come_back():
    y, frame = pd.DataFrame({"up": Y, "down": -Y}), pd.DataFrame(X)
    s = SpectralSmoother.from_design(frame, True)
    for table in (
        ols_coefficients(frame, y),
        loo_residuals(frame, y),
        s.fit(y, 1.0),
        s.residuals(y, 1.0),
        s.predict(frame, y, 1.0),
        s.coefficients(y, 1.0)[0],
        s.loo_residuals(y, 1.0),
    ):
        assert table.columns.tolist() == ["up", "down"]


def test_single_precision_training_rows_take_double_precision_queries():
    rows, queries = torch.tensor(X, dtype=torch.float32), torch.tensor(X[:2])
    s, e = SpectralSmoother.from_design(rows, True), CoulombeEmbedding(0.1, True).fit(rows)
    known = attention_weights(X[:2], X, 0.1, True)
    np.testing.assert_allclose(s.weights(queries, 0.1), known, atol=1e-6)
    np.testing.assert_allclose(e.transform(queries) @ e.train_.double().T, known, atol=1e-6)
    s.predict(queries, rows[:, 0], 0.1)
    SpectralSmoother.from_gram(rows @ rows.T).weights(queries @ rows.double().T, 0.1)


def test_as_many_queries_as_training_rows_with_a_constant_null_space():
    t, K = X[:, :1], X @ X.T
    s = SpectralSmoother.from_gram(K, True, t)
    assert s.weights(K, 1.0, null_space=np.full((12, 1), 2.0)).shape == (12, 12)


def test_overwrite_copies_what_it_may_not_write():
    K = X @ X.T + np.eye(12)
    K.flags.writeable = False
    assert SpectralSmoother.from_gram(K, True, overwrite=True).df(1.0) > 1


@pytest.mark.parametrize(
    "lam",
    [
        True,
        np.True_,
        torch.tensor(True),
        np.array("1.0"),
        np.complex128(2 + 3j),
        torch.tensor(2j),
    ],
)
def test_penalties_that_are_no_real_numbers(lam):
    with pytest.raises(TypeError, match="lam must be one real number"):
        attention_weights(X, X, lam)


def test_an_intercept_that_is_no_flag():
    for call in (
        lambda: attention_weights(X, X, 0.0, "no"),
        lambda: CoulombeEmbedding(0.0, 1),
        lambda: SpectralSmoother.from_design(X, 0.5),
        lambda: SpectralSmoother.from_gram(X @ X.T, 0.5),
    ):
        with pytest.raises(TypeError, match="intercept must be True or False"):
            call()
    with pytest.raises(TypeError, match=r"write \[1.0\]"):
        ridge_path(X, Y, 1.0)


def test_filters_take_integers_and_refuse_infinity():
    np.testing.assert_allclose(spectral_filter([1, 3], 0.5), [2 / 3, 6 / 7])
    np.testing.assert_allclose(spectral_filter(torch.tensor([1, 3]), 0.5), [2 / 3, 6 / 7])
    for mu, lam in (([1.0], math.inf), ([math.nan], 1.0), ([-1.0], 1.0)):
        with pytest.raises(ValueError, match="must be finite and >= 0"):
            spectral_filter(mu, lam)
    lam = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    spectral_filter(torch.tensor([1.0, 3.0], dtype=torch.float64), lam).sum().backward()
    assert lam.grad == pytest.approx(-(1 / 4 + 3 / 16))


def test_learning_where_there_is_nothing_to_learn():
    for rows, y in ((X, 0 * Y), (0 * X, Y)):
        found = learn_embedding(rows, y)
        assert found.converged and not found.omega.any()
    with pytest.raises(ValueError, match="steps must be at least 1"):
        learn_embedding(X, Y, steps=0)
    with pytest.raises(ValueError, match="overflows"):
        learn_embedding(X * 1e100, Y)
    with torch.no_grad():
        assert learn_embedding(X[::-1], Y[::-1]).converged


@pytest.mark.parametrize("factor", [1e-200, 1e-170, 1e200])
@pytest.mark.filterwarnings("ignore::olsattention.RankDeficiencyWarning")
def test_wide_data_in_extreme_units(factor):
    rows = X.T * factor
    for intercept in (False, True):
        np.testing.assert_allclose(
            attention_weights(rows, rows, 0.0, intercept), np.eye(3), atol=1e-13
        )
