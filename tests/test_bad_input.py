"""What goes wrong in practice: a clear error or the right answer, never a silent wrong one."""

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
    dual_diagnostics,
    hat_matrix,
    learn_embedding,
    leverage,
    loo_residuals,
    ols_coefficients,
    r_factor,
    ridge_path,
    thin_svd,
)

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(12, 3)), rng.normal(size=12)

ONE_MATRIX = {
    "thin_svd": thin_svd,
    "hat_matrix": hat_matrix,
    "leverage": leverage,
    "r_factor": r_factor,
    "CoulombeEmbedding": lambda X: CoulombeEmbedding().fit(X),
    "attention_weights": lambda X: attention_weights(X, X),
    "from_design": SpectralSmoother.from_design,
}
REGRESSION = {
    "loo_residuals": loo_residuals,
    "ols_coefficients": ols_coefficients,
    "learn_embedding": learn_embedding,
    "ridge_path": lambda X, y: ridge_path(X, y, [1.0]),
}


def with_bad(value):
    bad = X.copy()
    bad[4, 1] = value
    return bad


@pytest.mark.parametrize("function", ONE_MATRIX.values(), ids=ONE_MATRIX)
@pytest.mark.parametrize(
    "bad, error, says",
    [
        (with_bad(np.nan), ValueError, "contains nan at row 4, column 1"),
        (with_bad(-np.inf), ValueError, "contains -inf at row 4, column 1"),
        (
            pd.DataFrame(with_bad(np.nan), columns=["a", "b", "c"]),
            ValueError,
            "contains nan at row 4, column 'b'",
        ),
        (np.empty((0, 3)), ValueError, "at least"),
        (np.empty((3, 0)), ValueError, "at least"),
        (np.ones(5), ValueError, "got shape (5,)"),
        (np.ones((2, 2, 2)), ValueError, "got shape (2, 2, 2)"),
        ([["a"]], TypeError, "numbers"),
        (np.ones((2, 2), complex), TypeError, "complex128"),
        ("text", TypeError, "numbers"),
        (None, TypeError, "numbers"),
    ],
)
def test_bad_matrices(function, bad, error, says):
    with pytest.raises(error) as caught:
        function(bad)
    assert says in str(caught.value)


@pytest.mark.parametrize("function", REGRESSION.values(), ids=REGRESSION)
@pytest.mark.parametrize(
    "y, error, says",
    [
        (Y[:5], ValueError, "y must have shape (12,) or (12, k)"),
        (np.r_[Y[:-1], np.nan], ValueError, "y contains nan at row 11"),
        (torch.ones(12), TypeError, "convert one of them"),
        (["a"] * 12, TypeError, "y must"),
    ],
)
def test_bad_outcomes(function, y, error, says):
    with pytest.raises(error) as caught:
        function(X, y)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda lam: attention_weights(X, X, lam),
        lambda lam: CoulombeEmbedding(lam),
        lambda lam: SpectralSmoother.from_design(X).df(lam),
        lambda lam: ridge_path(X, Y, [lam]),
    ],
    ids=["attention_weights", "CoulombeEmbedding", "df", "ridge_path"],
)
@pytest.mark.parametrize(
    "lam, error, says",
    [
        (-1.0, ValueError, "must be >= 0 and finite, got -1.0"),
        (np.nan, ValueError, "got nan"),
        (np.inf, ValueError, "got inf"),
        (np.ones(2), TypeError, "must be one number, got an array of shape (2,)"),
        ("1", TypeError, "one real number"),
        (None, TypeError, "one real number"),
        (1j, TypeError, "one real number"),
    ],
)
def test_bad_penalties(call, lam, error, says):
    with pytest.raises(error) as caught:
        call(lam)
    assert says in str(caught.value)


def test_columns_must_match():
    train = pd.DataFrame(X, columns=["a", "b", "c"])
    for test, says in [
        (
            train[["b", "a", "c"]],
            r"another order \(out of place: \['b', 'a'\]\); write X_test\[X_train.columns\]",
        ),
        (train[["a", "b"]], r"missing \['c'\]"),
        (train.rename(columns={"c": "d"}), r"missing \['c'\], unexpected \['d'\]"),
        (X[:, :2], "X_train has 3 columns but X_test has 2"),
    ]:
        with pytest.raises(ValueError, match=says):
            attention_weights(test, train)
        with pytest.raises(ValueError, match=says):
            CoulombeEmbedding().fit(train).transform(test)
        with pytest.raises(ValueError, match=says):
            SpectralSmoother.from_design(train).weights(test, 1.0)


def test_one_row():
    with pytest.warns(RankDeficiencyWarning, match="fewer rows than columns"):
        np.testing.assert_allclose(attention_weights([[2.0, 4.0]], [[1.0, 2.0]]), [[2.0]])
    np.testing.assert_allclose(attention_weights([[2.0], [3.0]], [[1.0]]), [[2.0], [3.0]])
    np.testing.assert_allclose(
        attention_weights([[7.0]], [[1.0]], lam=1.0, intercept=True), [[1.0]]
    )
    with pytest.warns(RankDeficiencyWarning):
        np.testing.assert_allclose(
            attention_weights([[7.0]], [[1.0]], intercept=True), [[1.0]]
        )
    assert ols_coefficients([[2.0]], [3.0]) == 1.5
    assert np.isnan(loo_residuals([[2.0]], [3.0]))
    path = ridge_path([[2.0]], [3.0], [0.0, 1.0])
    np.testing.assert_allclose(path.coefficients[:, 0], [1.5, 6 / 5])


def test_no_queries_is_an_empty_answer():
    assert attention_weights(X[:0], X).shape == (0, 12)
    assert CoulombeEmbedding().fit(X).transform(X[:0]).shape == (0, 3)


@pytest.mark.parametrize("lam", [0.0, 1.0])
def test_one_column(lam):
    x = X[:, :1]
    np.testing.assert_allclose(
        attention_weights(x, x, lam), x @ x.T / (x.T @ x + lam), atol=1e-14
    )


def test_constant_and_duplicate_columns():
    duplicated = pd.DataFrame(
        {
            "a": X[:, 0],
            "b": X[:, 1],
            "a2": 3 * X[:, 0],
            "one": np.ones(12),
            "two": 2 * np.ones(12),
            "zero": 0.0,
        }
    )
    with pytest.warns(
        RankDeficiencyWarning, match=r"rank 3 of 6.*'a', 'a2', 'one', 'two', 'zero'\."
    ):
        W = attention_weights(duplicated, duplicated)
    np.testing.assert_allclose(
        W, duplicated.to_numpy() @ np.linalg.pinv(duplicated.to_numpy()), atol=1e-12
    )
    np.testing.assert_allclose(np.trace(W), 3, atol=1e-12)
    with pytest.warns(RankDeficiencyWarning, match=r"'one'"):
        W = attention_weights(
            duplicated[["a", "one"]], duplicated[["a", "one"]], intercept=True
        )
    np.testing.assert_allclose(W.sum(axis=1), 1, atol=1e-12)
    with pytest.warns(RankDeficiencyWarning):
        b = ols_coefficients(duplicated, Y)
    np.testing.assert_allclose(
        b, np.linalg.lstsq(duplicated.to_numpy(), Y, rcond=None)[0], atol=1e-12
    )
    with warnings.catch_warnings():
        warnings.simplefilter(
            "error"
        )  # a penalty removes the ambiguity, and so the warning
        attention_weights(duplicated, duplicated, lam=1.0)
        ridge_path(duplicated, Y, [1.0], intercept=True)


def test_more_columns_than_rows():
    wide = rng.normal(size=(5, 9))
    with pytest.warns(
        RankDeficiencyWarning, match="rank 5 of 9; there are fewer rows than columns"
    ):
        np.testing.assert_allclose(
            attention_weights(wide[:2], wide), np.eye(5)[:2], atol=1e-12
        )
    with pytest.warns(RankDeficiencyWarning):
        limit = attention_weights(wide[:2] + 1, wide, intercept=True)
    np.testing.assert_allclose(
        limit, attention_weights(wide[:2] + 1, wide, 1e-9, intercept=True), atol=1e-7
    )
    assert thin_svd(wide).rank == 5


@pytest.mark.parametrize(
    "convert, dtype, atol",
    [
        (lambda a: np.round(a * 10).astype(int), np.float64, 0),
        (lambda a: np.round(a * 10).astype(int).tolist(), np.float64, 0),
        (lambda a: a.astype(np.float16), np.float32, 1e-5),
        (lambda a: a.astype(np.float32), np.float32, 1e-5),
        (lambda a: a.astype(bool), None, None),
    ],
)
def test_dtypes(convert, dtype, atol):
    data = convert(X)
    if dtype is None:
        with pytest.warns(RankDeficiencyWarning):
            assert attention_weights(data, data).dtype == np.float64
        return
    W = attention_weights(data, data)
    reference = np.asarray(data, float)
    assert W.dtype == dtype
    np.testing.assert_allclose(W, reference @ np.linalg.pinv(reference), atol=atol + 1e-12)
    assert ols_coefficients(data, np.asarray(data)[:, 0]).dtype == dtype


def test_labels_come_back():
    frame = pd.DataFrame(X, columns=list("abc"), index=pd.date_range("2020", periods=12))
    outcome = pd.Series(Y, index=frame.index)
    W = attention_weights(frame[:2], frame)
    assert W.index.equals(frame.index[:2]) and W.columns.equals(frame.index)
    np.testing.assert_allclose(
        W @ outcome, frame[:2] @ ols_coefficients(frame, outcome), atol=1e-12
    )
    assert leverage(frame).index.equals(frame.index) and loo_residuals(
        frame, outcome
    ).index.equals(frame.index)
    assert dual_diagnostics(W).index.equals(frame.index[:2])
    assert ridge_path(frame, outcome, [1.0]).to_frame().columns[-3:].tolist() == list("abc")


def test_input_is_not_modified():
    kept, kept_y = X.copy(), Y.copy()
    for function in ONE_MATRIX.values():
        function(X)
    for function in REGRESSION.values():
        function(X, Y)
    assert np.array_equal(X, kept) and np.array_equal(Y, kept_y)


@pytest.mark.parametrize("factor", [1e-150, 1e-40, 1e40, 1e150])
def test_extreme_units(factor):
    scales = np.array([1.0, factor, 1.0])
    np.testing.assert_allclose(
        attention_weights(X * scales, X * scales), attention_weights(X, X), atol=1e-12
    )
    np.testing.assert_allclose(
        ols_coefficients(X * scales, Y) * scales, ols_coefficients(X, Y), rtol=1e-11
    )


# ---- the first errors of a newcomer ------------------------------------------------------------------------

FIRST = {
    "a row for a matrix": (
        lambda o: o.attention_weights(X[0], X),
        "one row write x[None, :]",
    ),
    "a column for a matrix": (
        lambda o: o.attention_weights(X, X[:, 0]),
        "one column write x[:, None]",
    ),
    "the constructor of a smoother": (
        lambda o: o.SpectralSmoother(X),
        "SpectralSmoother.from_design(X)",
    ),
    "a kernel before the rows": (
        lambda o: o.KernelSmoother("rbf"),
        "KernelSmoother(X, 'rbf')",
    ),
    "rows for a smoother": (lambda o: o.select_lam(X, Y), "SpectralSmoother.from_design(X"),
    "a misspelt name": (lambda o: o.atention_weights, "did you mean attention_weights?"),
    "a misspelt name of a part": (
        lambda o: o.regression.hat_matrx,
        "did you mean hat_matrix?",
    ),
    "another name of a part": (
        lambda o: o.kernels.nothing_like_it,
        "dir(olsattention.kernels) lists all names",
    ),
}


@pytest.mark.parametrize("mistake", FIRST)
def test_first_errors_of_a_newcomer_say_what_to_write(mistake):
    import olsattention

    wrong, advice = FIRST[mistake]
    with pytest.raises((TypeError, ValueError, AttributeError)) as caught:
        wrong(olsattention)
    assert advice in str(caught.value)


def test_every_part_knows_a_name_that_it_lists():
    import olsattention

    for part in ("regression", "kernels", "selection", "attention", "theory", "models"):
        package = getattr(olsattention, part)
        for name in package.__all__[:3]:
            assert getattr(package, name) is not None
        assert not hasattr(package, "no_such_name_anywhere")


def test_help_says_what_the_package_is():
    import pydoc

    import olsattention

    text = pydoc.render_doc(olsattention, renderer=pydoc.plaintext)
    assert (
        "Attention is regression you can audit." in text
        and "attention_weights(X_new" in text
    )
