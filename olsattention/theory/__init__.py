"""Part V, theory: what is guaranteed, and what is not."""

import lazy_loader as _lazy

from olsattention import _suggesting

_get, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
__getattr__ = _suggesting(__name__, _get, __all__)
