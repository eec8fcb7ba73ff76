# What `olsattention` offers, part by part; `__init__.py` imports each name when it is first touched.

__version__: str

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
from .selection import (
    gcv as gcv,
    sure as sure,
    tridiagonal as tridiagonal,
    without as without,
)
from .selection.gcv import (
    BoundaryWarning as BoundaryWarning,
    criterion_curve as criterion_curve,
    randomized_gcv as randomized_gcv,
    select_lam as select_lam,
)
from .selection.sure import (
    Interval as Interval,
    adaptive_interval as adaptive_interval,
    coefficient_errors as coefficient_errors,
    noise_variance as noise_variance,
    posterior_variance as posterior_variance,
    prediction_interval as prediction_interval,
    standard_error as standard_error,
)
from .selection.tridiagonal import TridiagonalSmoother as TridiagonalSmoother
from .selection.without import (
    deletion_diagnostics as deletion_diagnostics,
    dfbetas as dfbetas,
    influence as influence,
)

# IV. Attention
from . import attention as attention
from .attention import (
    causal as causal,
    cuts as cuts,
    ensemble as ensemble,
    forgetting as forgetting,
    gated as gated,
    heads as heads,
    huggingface as huggingface,
    mixer as mixer,
    multihead as multihead,
    relatives as relatives,
    state as state,
    tokens as tokens,
    triangle as triangle,
    waiting as waiting,
    weights as weights,
    window as window,
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
from .attention.gated import gated_ridge as gated_ridge
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
from .attention.mixer import MixerState as MixerState, RidgeMixer as RidgeMixer
from .attention.multihead import MultiheadRidgeAttention as MultiheadRidgeAttention
from .attention.state import RidgeAttentionState as RidgeAttentionState
from .attention.tokens import token_influence as token_influence
from .attention.window import windowed_ridge as windowed_ridge

# V. Theory
from . import theory as theory
from .theory import (
    descent as descent,
    finite as finite,
    incontext as incontext,
    rates as rates,
    regret as regret,
    risk as risk,
)
from .theory.descent import (
    descent_risk as descent_risk,
    effective_ranks as effective_ranks,
    new_row_risk as new_row_risk,
)
from .theory.finite import loss_bound as loss_bound, selection_loss as selection_loss
from .theory.incontext import in_context_risk as in_context_risk
from .theory.rates import (
    SequenceModel as SequenceModel,
    empirical_rate as empirical_rate,
)
from .theory.regret import online_forecasts as online_forecasts
from .theory.risk import (
    bias_variance as bias_variance,
    oracle_lam as oracle_lam,
    prediction_risk as prediction_risk,
    simulate_risk as simulate_risk,
)

# VI. Models
from . import models as models
from .models import (
    capture as capture,
    certificates as certificates,
    command as command,
    commitments as commitments,
    fingerprint as fingerprint,
    gates as gates,
    importance as importance,
    monitoring as monitoring,
    proofs as proofs,
    report as report,
    routing as routing,
    spectrum as spectrum,
    structure as structure,
)
from .models.capture import (
    AttentionCall as AttentionCall,
    CaptureError as CaptureError,
    CapturedAttention as CapturedAttention,
    HeadMoments as HeadMoments,
    capture_attention as capture_attention,
)
from .models.gates import (
    HeadGates as HeadGates,
    ablation_effects as ablation_effects,
    head_gates as head_gates,
    integrated_gradients as integrated_gradients,
    set_means as set_means,
)
from .models.report import head_report as head_report, pattern_scores as pattern_scores
from .models.importance import (
    RankCorrelation as RankCorrelation,
    head_scores as head_scores,
    rank_correlation as rank_correlation,
    rank_heads as rank_heads,
)
from .models.routing import (
    HeadMask as HeadMask,
    HeadModes as HeadModes,
    ablate as ablate,
    budget_curve as budget_curve,
    head_modes as head_modes,
    mode_scores as mode_scores,
    pruned_model as pruned_model,
    pruned_state_dict as pruned_state_dict,
    route as route,
)
from .models.spectrum import (
    HeadSpectrum as HeadSpectrum,
    circuit_importance as circuit_importance,
    head_spectrum as head_spectrum,
)
from .models.structure import (
    StructureTest as StructureTest,
    structure_test as structure_test,
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
from .models.fingerprint import (
    compare_spectra as compare_spectra,
    key_maps as key_maps,
)
from .models.monitoring import (
    SpectrumMonitor as SpectrumMonitor,
    captured_spectra as captured_spectra,
    condition_number as condition_number,
)

# VII. Practice
from . import practice as practice
from .practice import estimators as estimators
from .practice.command import (
    ArrayBlocks as ArrayBlocks,
    ParquetBlocks as ParquetBlocks,
    fit_blocks as fit_blocks,
)
from .practice.dask import (
    dask_predict as dask_predict,
    dask_state as dask_state,
    dask_weights as dask_weights,
)
from .practice.estimators import AttentionRegressor as AttentionRegressor
from .practice.large import (
    LargeKernelRegressor as LargeKernelRegressor,
    random_features as random_features,
)
from .practice.sharded import sharded_ridge_attention as sharded_ridge_attention
from .practice.stream import LeastSquaresState as LeastSquaresState
