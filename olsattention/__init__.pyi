from . import (
    arrays as arrays,
    attention as attention,
    causal as causal,
    checks as checks,
    embeddings as embeddings,
    ensemble as ensemble,
    estimators as estimators,
    forgetting as forgetting,
    gcv as gcv,
    heads as heads,
    huggingface as huggingface,
    kernels as kernels,
    multihead as multihead,
    plots as plots,
    refinement as refinement,
    relatives as relatives,
    rfactor as rfactor,
    ridge as ridge,
    rkhs as rkhs,
    similarity as similarity,
    smoother as smoother,
    splines as splines,
    stationary as stationary,
    svd as svd,
    state as state,
    tridiagonal as tridiagonal,
)
from .arrays import lam_from_mean as lam_from_mean, mean_from_lam as mean_from_lam
from .attention import (
    RidgeAttentionOutput as RidgeAttentionOutput,
    head_lam as head_lam,
    ridge_attention as ridge_attention,
)
from .embeddings import (
    CoulombeEmbedding as CoulombeEmbedding,
    attention_weights as attention_weights,
    dual_diagnostics as dual_diagnostics,
    learn_embedding as learn_embedding,
)
from .ensemble import (
    EnsembleDecomposition as EnsembleDecomposition,
    combination_weights as combination_weights,
    ensemble_decomposition as ensemble_decomposition,
)
from .estimators import AttentionRegressor as AttentionRegressor
from .forgetting import forgetful_ridge as forgetful_ridge
from .gcv import (
    BoundaryWarning as BoundaryWarning,
    criterion_curve as criterion_curve,
    randomized_gcv as randomized_gcv,
    select_lam as select_lam,
)
from .causal import causal_ridge as causal_ridge
from .heads import (
    cross_hat_matrix as cross_hat_matrix,
    head_coefficients as head_coefficients,
    resonance as resonance,
    resonance_spectrum as resonance_spectrum,
)
from .huggingface import (
    RidgeCache as RidgeCache,
    register_ridge_attention as register_ridge_attention,
)
from .kernels import get_kernel as get_kernel
from .multihead import MultiheadRidgeAttention as MultiheadRidgeAttention
from .refinement import ols_coefficients as ols_coefficients
from .rfactor import merge_r as merge_r, r_factor as r_factor
from .ridge import spectral_filter as spectral_filter
from .rkhs import KernelSmoother as KernelSmoother
from .smoother import SpectralSmoother as SpectralSmoother, ridge_path as ridge_path
from .state import RidgeAttentionState as RidgeAttentionState
from .svd import (
    RankDeficiencyWarning as RankDeficiencyWarning,
    hat_matrix as hat_matrix,
    leverage as leverage,
    loo_residuals as loo_residuals,
    thin_svd as thin_svd,
)
from .tridiagonal import TridiagonalSmoother as TridiagonalSmoother
