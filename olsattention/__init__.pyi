from . import (
    arrays as arrays,
    checks as checks,
    embeddings as embeddings,
    plots as plots,
    refinement as refinement,
    rfactor as rfactor,
    ridge as ridge,
    smoother as smoother,
    svd as svd,
)
from .arrays import lam_from_mean as lam_from_mean, mean_from_lam as mean_from_lam
from .embeddings import (
    CoulombeEmbedding as CoulombeEmbedding,
    attention_weights as attention_weights,
    dual_diagnostics as dual_diagnostics,
    learn_embedding as learn_embedding,
)
from .refinement import ols_coefficients as ols_coefficients
from .rfactor import merge_r as merge_r, r_factor as r_factor
from .ridge import spectral_filter as spectral_filter
from .smoother import SpectralSmoother as SpectralSmoother, ridge_path as ridge_path
from .svd import (
    RankDeficiencyWarning as RankDeficiencyWarning,
    hat_matrix as hat_matrix,
    leverage as leverage,
    loo_residuals as loo_residuals,
    thin_svd as thin_svd,
)
