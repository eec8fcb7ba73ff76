# Written by `make export` from the chapters: edit those, not this.
from . import risk as risk
from . import rates as rates
from . import finite as finite
from . import descent as descent
from . import regret as regret
from . import incontext as incontext
from .risk import (
    PredictionRisk as PredictionRisk,
    prediction_risk as prediction_risk,
    RiskCurve as RiskCurve,
    bias_variance as bias_variance,
    SimulatedRisk as SimulatedRisk,
    simulate_risk as simulate_risk,
    OracleLam as OracleLam,
    oracle_lam as oracle_lam,
)
from .rates import (
    SequenceModel as SequenceModel,
    TheoryLine as TheoryLine,
    Rate as Rate,
    empirical_rate as empirical_rate,
)
from .finite import (
    SelectionLoss as SelectionLoss,
    selection_loss as selection_loss,
    loss_bound as loss_bound,
)
from .descent import (
    NewRowRisk as NewRowRisk,
    new_row_risk as new_row_risk,
    descent_risk as descent_risk,
    EffectiveRanks as EffectiveRanks,
    effective_ranks as effective_ranks,
)
from .regret import (
    OnlineForecasts as OnlineForecasts,
    online_forecasts as online_forecasts,
)
from .incontext import (
    in_context_risk as in_context_risk,
    Prompts as Prompts,
    in_context_prompts as in_context_prompts,
    limiting_risk as limiting_risk,
)
