"""Attention is regression you can audit. The names are in `__init__.pyi`; each is imported when first touched (SPEC 1)."""

from importlib.metadata import version as _version
from importlib.util import find_spec as _find_spec

import lazy_loader as _lazy

__version__ = _version(__name__)
__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
if _find_spec("sklearn") is None:  # then they raise an ImportError that says so, but not at `import *`
    __all__ = [name for name in __all__ if name not in ("estimators", "AttentionRegressor")]
