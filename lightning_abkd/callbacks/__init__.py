"""Lightning callbacks that change numbers of a module while it trains.

Here: who sets what when. Not here: the schedules themselves (see `lightning_abkd.schedules`).
"""

from lightning_abkd.callbacks._alpha_beta_scheduler import AlphaBetaScheduler
from lightning_abkd.callbacks._hyperparameter_scheduler import HyperparameterScheduler

__all__ = ["AlphaBetaScheduler", "HyperparameterScheduler"]
