# Written by `make export` from the chapters: edit those, not this.
from . import similarity as similarity
from . import stationary as stationary
from . import splines as splines
from . import names as names
from . import rkhs as rkhs
from .similarity import (
    linear as linear,
    polynomial as polynomial,
    exponential as exponential,
)
from .stationary import (
    rbf as rbf,
    laplacian as laplacian,
    matern as matern,
)
from .splines import (
    sobolev as sobolev,
    spline as spline,
    spline_null_space as spline_null_space,
)
from .names import (
    Kernel as Kernel,
    KERNELS as KERNELS,
    ALIASES as ALIASES,
    get_kernel as get_kernel,
)
from .rkhs import (
    KernelSmoother as KernelSmoother,
)
