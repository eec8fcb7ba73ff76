"""Part IV, attention: heads solved as regressions, layers of them, and models that use them."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
