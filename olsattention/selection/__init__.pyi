# Written by `make export` from the chapters: edit those, not this.
from . import gcv as gcv
from . import tridiagonal as tridiagonal
from . import without as without
from .gcv import (
    criterion_curve as criterion_curve,
    BoundaryWarning as BoundaryWarning,
    SelectedLam as SelectedLam,
    select_lam as select_lam,
    RandomizedGCV as RandomizedGCV,
    randomized_gcv as randomized_gcv,
)
from .tridiagonal import (
    TridiagonalSmoother as TridiagonalSmoother,
)
from .without import (
    influence as influence,
    deletion_diagnostics as deletion_diagnostics,
    dfbetas as dfbetas,
)
