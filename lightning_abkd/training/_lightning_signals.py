"""The file, beside `_lightning`, that touches names which Lightning keeps private: those of signals and of stopping.

Lightning 2.6: `Trainer._signal_connector`, its `_HandlersCompose`, `Trainer._accelerator_connector`,
`_should_accumulate` and `_should_check_val_fx` of the epoch's loop, `fabric.utilities.seed._collect_rng_states`.
"""

import signal
from collections.abc import Callable
from types import FrameType
from typing import cast

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.utilities.seed import _collect_rng_states, _set_rng_states
from lightning.pytorch import Trainer
from lightning.pytorch.trainer.connectors.signal_connector import _HandlersCompose

Handler = Callable[[int, FrameType | None], object]


def ends_step(trainer: Trainer) -> bool:
    """Return True after a batch with which the optimizer has made a step, False within an accumulation."""
    accumulates: bool = trainer.fit_loop.epoch_loop._should_accumulate()
    return not accumulates


def is_validated_next(trainer: Trainer) -> bool:
    """Return True after a training batch that a validation follows."""
    loop = trainer.fit_loop
    return trainer.enable_validation and loop.epoch_loop._should_check_val_fx(getattr(loop, "_data_fetcher"))  # noqa: B009


def go_back_before_validation(trainer: Trainer) -> None:
    """Let a checkpoint that is saved in a validation be that of the end of the batch before it."""
    loop = trainer.fit_loop.epoch_loop
    validated, trained = loop.val_loop.batch_progress, loop.batch_progress
    for name in ("ready", "started", "processed", "completed"):
        setattr(validated.total, name, getattr(validated.total, name) - getattr(validated.current, name))
        setattr(validated.current, name, 0)
    trained.total.completed -= 1
    trained.current.completed -= 1


def generator_states() -> dict[str, object]:
    """Return the states of Python's, NumPy's and torch's own generators."""
    states: dict[str, object] = _collect_rng_states()
    return states


def set_generator_states(states: dict[str, object]) -> None:
    """Set the states of Python's, NumPy's and torch's own generators."""
    _set_rng_states(states)


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
