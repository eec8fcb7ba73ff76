# Written by `make export` from the chapters: edit those, not this.
from . import risk as risk
from . import rates as rates
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
