# Written by `make export` from the chapters: edit those, not this.
from . import tabular as tabular
from . import estimators as estimators
from .estimators import (
    AttentionRegressor as AttentionRegressor,
)
