"""Part I, regression: least squares through the SVD, its attention weights, ridge, and the spectral smoother."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
