# Written by `make export` from the chapters: edit those, not this.
from . import tabular as tabular
from . import estimators as estimators
from . import stream as stream
from . import command as command
from . import dask as dask
from . import sharded as sharded
from . import large as large
from . import size as size
from .estimators import (
    AttentionRegressor as AttentionRegressor,
)
from .stream import (
    BLOCK_ROWS as BLOCK_ROWS,
    AT_ONCE as AT_ONCE,
    MAGIC as MAGIC,
    SAVED as SAVED,
    LeastSquaresState as LeastSquaresState,
    inverse_and_vif as inverse_and_vif,
    whiten as whiten,
    absorb as absorb,
    preconditioned as preconditioned,
    absorb_gram as absorb_gram,
    absorb_rows as absorb_rows,
    harmless as harmless,
    Solved as Solved,
    take_apart as take_apart,
    plain as plain,
)
from .command import (
    ArrayBlocks as ArrayBlocks,
    ParquetBlocks as ParquetBlocks,
    fit_blocks as fit_blocks,
    Fit as Fit,
    number as number,
    fit_command as fit_command,
    as_alpha as as_alpha,
    text_of as text_of,
    fit_arguments as fit_arguments,
    run_fit as run_fit,
)
from .dask import (
    tree_reduce as tree_reduce,
    dask_state as dask_state,
    dask_predict as dask_predict,
    dask_weights as dask_weights,
)
from .sharded import (
    sharded_ridge_attention as sharded_ridge_attention,
    bytes_sent as bytes_sent,
)
from .large import (
    PANEL as PANEL,
    KernelProduct as KernelProduct,
    Preconditioner as Preconditioner,
    random_pivots as random_pivots,
    Indefinite as Indefinite,
    conjugate_gradients as conjugate_gradients,
    KernelSolution as KernelSolution,
    solve_kernel as solve_kernel,
    LargeKernelRegressor as LargeKernelRegressor,
    RandomFeatures as RandomFeatures,
    random_features as random_features,
)
from .size import (
    Machine as Machine,
    Cost as Cost,
    stream_cost as stream_cost,
    attention_cost as attention_cost,
)
