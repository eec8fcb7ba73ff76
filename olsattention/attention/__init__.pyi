# Written by `make export` from the chapters: edit those, not this.
from . import heads as heads
from . import launch as launch
from . import causal as causal
from . import forgetting as forgetting
from . import cuts as cuts
from . import gated as gated
from . import window as window
from . import weights as weights
from . import triangle as triangle
from . import waiting as waiting
from . import state as state
from . import functional as functional
from . import relatives as relatives
from . import tokens as tokens
from . import ensemble as ensemble
from . import multihead as multihead
from . import mixer as mixer
from . import huggingface as huggingface
from .heads import (
    head_coefficients as head_coefficients,
    cross_hat_matrix as cross_hat_matrix,
    resonance_spectrum as resonance_spectrum,
    resonance as resonance,
)
from .launch import (
    LARGEST as LARGEST,
    inverse_cholesky_in_one_launch as inverse_cholesky_in_one_launch,
)
from .causal import (
    causal_ridge as causal_ridge,
)
from .forgetting import (
    forgetful_ridge as forgetful_ridge,
)
from .gated import (
    gated_ridge as gated_ridge,
)
from .window import (
    windowed_ridge as windowed_ridge,
)
from .state import (
    SAVED as SAVED,
    RidgeAttentionState as RidgeAttentionState,
)
from .functional import (
    head_lam as head_lam,
    RidgeAttentionOutput as RidgeAttentionOutput,
    ridge_attention as ridge_attention,
)
from .relatives import (
    softmax_weights as softmax_weights,
    local_linear_weights as local_linear_weights,
    delta_rule as delta_rule,
    SoftmaxRegression as SoftmaxRegression,
    softmax_regression as softmax_regression,
)
from .tokens import (
    token_influence as token_influence,
)
from .ensemble import (
    EnsembleDecomposition as EnsembleDecomposition,
    ensemble_decomposition as ensemble_decomposition,
    combination_weights as combination_weights,
)
from .multihead import (
    MultiheadRidgeAttention as MultiheadRidgeAttention,
)
from .mixer import (
    RidgeMixer as RidgeMixer,
    MixerState as MixerState,
)
from .huggingface import (
    ATTENTION as ATTENTION,
    register_ridge_attention as register_ridge_attention,
    RidgeCache as RidgeCache,
)
