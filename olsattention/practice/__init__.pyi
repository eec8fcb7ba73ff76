# Written by `make export` from the chapters: edit those, not this.
from . import weighting as weighting
from . import tabular as tabular
from . import estimators as estimators
from . import stream as stream
from .estimators import (
    AttentionRegressor as AttentionRegressor,
)
from .stream import (
    BLOCK_ROWS as BLOCK_ROWS,
    MAGIC as MAGIC,
    SAVED as SAVED,
    LeastSquaresState as LeastSquaresState,
    whiten as whiten,
    absorb as absorb,
    absorb_rows as absorb_rows,
    Solved as Solved,
    take_apart as take_apart,
    plain as plain,
)
