"""Signals, by names which Lightning keeps private.

Lightning 2.6: `Trainer._signal_connector`, its `_HandlersCompose`, `Trainer._accelerator_connector`.
"""

import signal
from collections.abc import Callable
from types import FrameType
from typing import cast

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.trainer.connectors.signal_connector import _HandlersCompose

Handler = Callable[[int, FrameType | None], object]


def forget_sigterm(trainer: Trainer) -> bool:
    """Return True if Lightning has seen a SIGTERM, and let it forget it: its loops would stop within a validation."""
    connector = trainer._signal_connector
    seen: bool = connector.received_sigterm
    connector.received_sigterm = False
    return seen


def users_handler(trainer: Trainer, number: int) -> Handler | None:
    """Return the handler of a signal that was there before Lightning's, None where that is the system's or Python's."""
    handler = trainer._signal_connector._original_handlers.get(number)
    is_users = callable(handler) and handler is not signal.default_int_handler
    return cast(Handler, handler) if is_users else None


def slurm_requeue(trainer: Trainer) -> tuple[int, Handler] | None:
    """Return SLURM's signal before the end of a job's time, and Lightning's handler, which saves and requeues."""
    environment = trainer._accelerator_connector.cluster_environment
    number = environment.requeue_signal if isinstance(environment, SLURMEnvironment) else None
    handler = None if number is None else signal.getsignal(number)
    if number is None or not isinstance(handler, _HandlersCompose):
        return None
    return int(number), cast(Handler, handler)
