"""Attention is regression you can audit. The names are in `__init__.pyi`; each is imported when first touched (SPEC 1)."""

from importlib.metadata import version as _version

import lazy_loader as _lazy

__version__ = _version(__name__)
__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
