# Written by `make export` from the chapters: edit those, not this.
from . import capture as capture
from . import spectrum as spectrum
from . import structure as structure
from . import report as report
from . import gates as gates
from . import command as command
from . import importance as importance
from . import routing as routing
from . import monitoring as monitoring
from . import commitments as commitments
from . import certificates as certificates
from . import fingerprint as fingerprint
from . import proofs as proofs
from .capture import (
    AttentionCall as AttentionCall,
    HeadMoments as HeadMoments,
    used_queries as used_queries,
    CaptureError as CaptureError,
    CapturedAttention as CapturedAttention,
    capture_attention as capture_attention,
)
from .spectrum import (
    HeadSpectrum as HeadSpectrum,
    head_spectrum as head_spectrum,
    SpectrumGCV as SpectrumGCV,
    spectrum_df as spectrum_df,
    spectrum_gcv as spectrum_gcv,
    gcv_scores as gcv_scores,
    condition_number as condition_number,
    circuit_importance as circuit_importance,
    smoother_size as smoother_size,
    smoother_distance as smoother_distance,
)
from .structure import (
    StructureTest as StructureTest,
    structure_test as structure_test,
    adjusted as adjusted,
)
from .report import (
    PATTERNS as PATTERNS,
    pattern_scores as pattern_scores,
    head_report as head_report,
)
from .gates import (
    HeadGates as HeadGates,
    head_gates as head_gates,
    closing as closing,
    set_means as set_means,
    ablation_effects as ablation_effects,
    integrated_gradients as integrated_gradients,
    gate_gradients as gate_gradients,
)
from .command import (
    COMMANDS as COMMANDS,
    COLUMNS as COLUMNS,
    main as main,
    report_arguments as report_arguments,
    run_report as run_report,
)
from .importance import (
    SCORES as SCORES,
    head_scores as head_scores,
    RankCorrelation as RankCorrelation,
    rank_correlation as rank_correlation,
    rank_heads as rank_heads,
)
from .routing import (
    HeadMask as HeadMask,
    route as route,
    ablate as ablate,
    budget_curve as budget_curve,
    loss_behind as loss_behind,
    HeadModes as HeadModes,
    head_modes as head_modes,
    mode_scores as mode_scores,
    pruned_state_dict as pruned_state_dict,
    pruned_model as pruned_model,
)
from .monitoring import (
    DELTAS as DELTAS,
    conformal_p as conformal_p,
    log_shares as log_shares,
    step_capital as step_capital,
    log_mixture as log_mixture,
    log_martingale as log_martingale,
    average_threshold as average_threshold,
    Reading as Reading,
    SpectrumMonitor as SpectrumMonitor,
    captured_spectra as captured_spectra,
)
from .commitments import (
    CommitmentError as CommitmentError,
    encode_array as encode_array,
    decode_array as decode_array,
    leaf_hash as leaf_hash,
    node_hash as node_hash,
    tree_levels as tree_levels,
    audit_path as audit_path,
    root_from_path as root_from_path,
    Stored as Stored,
    Commitment as Commitment,
    Opening as Opening,
    Secret as Secret,
    Signature as Signature,
    commit as commit,
    open_ as open_,
    verify as verify,
    sign as sign,
    verify_signature as verify_signature,
)
from .certificates import (
    EigenCertificate as EigenCertificate,
    certify_eigenpairs as certify_eigenpairs,
    certify_traces as certify_traces,
    RidgeCertificate as RidgeCertificate,
    certify_ridge as certify_ridge,
    certify_hat_matrix as certify_hat_matrix,
)
from .fingerprint import (
    Agreement as Agreement,
    compare_spectra as compare_spectra,
    KeyMaps as KeyMaps,
    key_maps as key_maps,
)
from .proofs import (
    read_arrays as read_arrays,
    arrays_in as arrays_in,
    model_arrays as model_arrays,
    commit_arguments as commit_arguments,
    run_commit as run_commit,
    open_arguments as open_arguments,
    run_open as run_open,
    verify_arguments as verify_arguments,
    run_verify as run_verify,
)
