# What `olsattention` offers, part by part; `__init__.py` imports each name when it is first touched.

# the ground
from . import arrays as arrays, checks as checks, plots as plots
from .arrays import lam_from_mean as lam_from_mean, mean_from_lam as mean_from_lam

# I. Regression
from . import regression as regression
from .regression import (
    embeddings as embeddings,
    refinement as refinement,
    rfactor as rfactor,
    ridge as ridge,
    smoother as smoother,
    svd as svd,
)
from .regression.embeddings import (
    CoulombeEmbedding as CoulombeEmbedding,
    attention_weights as attention_weights,
    dual_diagnostics as dual_diagnostics,
    learn_embedding as learn_embedding,
)
from .regression.refinement import ols_coefficients as ols_coefficients
from .regression.rfactor import merge_r as merge_r, r_factor as r_factor
from .regression.ridge import spectral_filter as spectral_filter
from .regression.smoother import (
    SpectralSmoother as SpectralSmoother,
    ridge_path as ridge_path,
)
from .regression.svd import (
    RankDeficiencyWarning as RankDeficiencyWarning,
    hat_matrix as hat_matrix,
    leverage as leverage,
    loo_residuals as loo_residuals,
    thin_svd as thin_svd,
)

# II. Kernels
from . import kernels as kernels
from .kernels import (
    rkhs as rkhs,
    similarity as similarity,
    splines as splines,
    stationary as stationary,
)
from .kernels.names import get_kernel as get_kernel
from .kernels.rkhs import KernelSmoother as KernelSmoother

# III. Selection
from . import selection as selection
from .selection import gcv as gcv, tridiagonal as tridiagonal
from .selection.gcv import (
    BoundaryWarning as BoundaryWarning,
    criterion_curve as criterion_curve,
    randomized_gcv as randomized_gcv,
    select_lam as select_lam,
)
from .selection.tridiagonal import TridiagonalSmoother as TridiagonalSmoother

# IV. Attention
from . import attention as attention
from .attention import (
    causal as causal,
    ensemble as ensemble,
    forgetting as forgetting,
    heads as heads,
    huggingface as huggingface,
    multihead as multihead,
    relatives as relatives,
    state as state,
)
from .attention.causal import causal_ridge as causal_ridge
from .attention.ensemble import (
    EnsembleDecomposition as EnsembleDecomposition,
    combination_weights as combination_weights,
    ensemble_decomposition as ensemble_decomposition,
)
from .attention.forgetting import forgetful_ridge as forgetful_ridge
from .attention.functional import (
    RidgeAttentionOutput as RidgeAttentionOutput,
    head_lam as head_lam,
    ridge_attention as ridge_attention,
)
from .attention.heads import (
    cross_hat_matrix as cross_hat_matrix,
    head_coefficients as head_coefficients,
    resonance as resonance,
    resonance_spectrum as resonance_spectrum,
)
from .attention.huggingface import (
    RidgeCache as RidgeCache,
    register_ridge_attention as register_ridge_attention,
)
from .attention.multihead import MultiheadRidgeAttention as MultiheadRidgeAttention
from .attention.state import RidgeAttentionState as RidgeAttentionState

# VI. Models
from . import models as models
from .models import (
    certificates as certificates,
    commands as commands,
    commitments as commitments,
    fingerprint as fingerprint,
    monitoring as monitoring,
)
from .models.certificates import (
    certify_eigenpairs as certify_eigenpairs,
    certify_hat_matrix as certify_hat_matrix,
    certify_ridge as certify_ridge,
    certify_traces as certify_traces,
)
from .models.commitments import (
    Commitment as Commitment,
    CommitmentError as CommitmentError,
    Opening as Opening,
    Secret as Secret,
    commit as commit,
    open_ as open_,
    sign as sign,
    verify as verify,
    verify_signature as verify_signature,
)
from .models.fingerprint import compare_spectra as compare_spectra
from .models.monitoring import (
    SpectrumMonitor as SpectrumMonitor,
    condition_number as condition_number,
)

# VII. Practice
from . import practice as practice
from .practice import estimators as estimators
from .practice.estimators import AttentionRegressor as AttentionRegressor
