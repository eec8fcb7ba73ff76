# Written by `make export` from the chapters: edit those, not this.
from . import svd as svd
from . import rfactor as rfactor
from . import refinement as refinement
from . import principal as principal
from . import embeddings as embeddings
from . import ridge as ridge
from . import weighting as weighting
from . import smoother as smoother
from .svd import (
    RankDeficiencyWarning as RankDeficiencyWarning,
    ThinSVD as ThinSVD,
    thin_svd as thin_svd,
    hat_matrix as hat_matrix,
    leverage as leverage,
    loo_residuals as loo_residuals,
)
from .rfactor import (
    merge_r as merge_r,
    r_factor as r_factor,
)
from .refinement import (
    ols_coefficients as ols_coefficients,
)
from .embeddings import (
    attention_weights as attention_weights,
    CoulombeEmbedding as CoulombeEmbedding,
    LearnedEmbedding as LearnedEmbedding,
    learn_embedding as learn_embedding,
    dual_diagnostics as dual_diagnostics,
)
from .ridge import (
    spectral_filter as spectral_filter,
)
from .smoother import (
    SpectralSmoother as SpectralSmoother,
    RidgePath as RidgePath,
    ridge_path as ridge_path,
)
