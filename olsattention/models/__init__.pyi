# Written by `make export` from the chapters: edit those, not this.
from . import capture as capture
from . import spectrum as spectrum
from . import structure as structure
from . import report as report
from . import gates as gates
from . import command as command
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
    reader_of as reader_of,
    closing as closing,
    gate_of as gate_of,
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
