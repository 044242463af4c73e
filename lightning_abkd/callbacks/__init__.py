"""Lightning callbacks: they change numbers of a module while it trains, and write what is trained.

Here: who sets or saves what when. Not here: the schedules themselves (see `lightning_abkd.schedules`).
"""

from lightning_abkd.callbacks._alpha_beta_scheduler import AlphaBetaScheduler
from lightning_abkd.callbacks._cached_teacher import CachedTeacher
from lightning_abkd.callbacks._hyperparameter_scheduler import HyperparameterScheduler
from lightning_abkd.callbacks._response_evaluation import ResponseEvaluation
from lightning_abkd.callbacks._response_writer import ResponseWriter
from lightning_abkd.callbacks._save_pretrained import SavePretrained

__all__ = [
    "AlphaBetaScheduler",
    "CachedTeacher",
    "HyperparameterScheduler",
    "ResponseEvaluation",
    "ResponseWriter",
    "SavePretrained",
]
