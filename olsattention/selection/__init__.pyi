# Written by `make export` from the chapters: edit those, not this.
from . import gcv as gcv
from . import tridiagonal as tridiagonal
from . import without as without
from . import sure as sure
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
from .sure import (
    noise_variance as noise_variance,
    standard_error as standard_error,
    coefficient_errors as coefficient_errors,
    posterior_variance as posterior_variance,
    Interval as Interval,
    prediction_interval as prediction_interval,
    adaptive_interval as adaptive_interval,
)
