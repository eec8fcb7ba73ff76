"""Attention is regression you can audit.

A least-squares prediction is a product of matrices. Read from one side it is a regression, from the other attention
without a softmax: a weight for each row of the past. This package computes these weights exactly, counts what they
cost, chooses their regularisation, and solves attention heads as the regressions that they are.

Which rows does a prediction listen to?
    ``attention_weights(X_new, X, lam, intercept=True)``, then ``dual_diagnostics`` of them.
One factorisation, every penalty:
    ``SpectralSmoother.from_design(X)`` or ``.from_gram(K)``; ``select_lam(smoother, y)`` chooses.
An estimator of scikit-learn, with a kernel and an explanation of each prediction:
    ``AttentionRegressor("rbf").fit(X, y).explain(X_new)``
An exact attention layer, linear in the tokens:
    ``ridge_attention(query, key, value, lam, is_causal=True)``, ``MultiheadRidgeAttention``
What the heads of a trained model do:
    ``capture_attention(model)``, then ``head_report``.
Rows that do not fit into memory, or arrive in pieces:
    ``LeastSquaresState().update(X, y)``

``dir(olsattention)`` lists all names, ``help(olsattention.NAME)`` explains one, with shapes, units, errors and source. The parts
of the book are subpackages: ``olsattention.regression``, ``.kernels``, ``.selection`` and so on; each name is imported when first
touched. The book itself is built by ``make docs``.
"""

from difflib import get_close_matches as _get_close_matches
from importlib.metadata import version as _version
from importlib.util import find_spec as _find_spec

import lazy_loader as _lazy


def _suggesting(package, get, names):
    """The `__getattr__` of a package that offers `names` by `get`: a misspelt one gets a suggestion."""

    def getattribute(name):
        if name in names or name.startswith("__"):
            return get(name)
        try:
            return get(name)
        except AttributeError:
            close = _get_close_matches(name, names, 1, 0.7)
            hint = f"did you mean {close[0]}?" if close else f"dir({package}) lists all names"
            raise AttributeError(f"{package} has no {name!r}; {hint}") from None

    return getattribute


__version__ = _version(__name__)
_get, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
if _find_spec("sklearn") is None:  # then they raise an ImportError that says so, but not at `import *`
    __all__ = [name for name in __all__ if name not in ("estimators", "AttentionRegressor")]
__getattr__ = _suggesting(__name__, _get, __all__)
