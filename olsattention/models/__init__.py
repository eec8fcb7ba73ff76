"""Part VI, models: what the heads of trained models do, read, measured, watched and proved."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
