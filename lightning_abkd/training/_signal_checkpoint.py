"""A checkpoint for a training that is asked to stop."""

from typing import NoReturn

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint, WeightAveraging
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import SIGTERMException

from lightning_abkd.training._generators import States, generator_states, restore_generators
from lightning_abkd.training._lightning import callbacks_of
from lightning_abkd.training._lightning_loops import (
    ends_step,
    epoch_and_batches,
    go_back_before_validation,
    is_validated_next,
)
from lightning_abkd.training._lost_processes import killed_worker, lost_rank
from lightning_abkd.training._stop_signals import Stop, StopSignals


class SignalCheckpoint(Checkpoint):
    """Finishes the step, saves a checkpoint and leaves when the process is asked to stop.

    Every module of this library and every `abkd fit` has it. It answers to SIGTERM, as schedulers and containers send
    it, to Ctrl-C, and under SLURM to the signal of `--signal`, after which Lightning requeues the job. One process of
    several that is asked suffices: all agree after each step. The process leaves with 128 and the signal's number: 143
    after SIGTERM, 130 after Ctrl-C. A second Ctrl-C stops at once.

    A step is that of the optimizer: micro-batches that accumulate end first. A validation is broken off by one process
    alone and begins anew after a resume; several processes finish it. The checkpoint is the last one of the trainer's
    first `ModelCheckpoint`, so that `--ckpt_path last` finds it; without a `ModelCheckpoint` nothing is saved. SLURM's
    is `hpc_ckpt_N.ckpt` in the trainer's folder, which Lightning finds by itself.

    Attributes:
        best_model_path: Empty: it looks for no best checkpoint.

    Example:
        >>> from lightning_abkd.callbacks import SignalCheckpoint
        >>> SignalCheckpoint().best_model_path
        ''
    """

    best_model_path = ""

    def __init__(self) -> None:
        super().__init__()
        self._signals = StopSignals()
        self._before_validation: States | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to keep signals for the end of a step."""
        self._before_validation = None
        self._signals.take(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave signals to Lightning again."""
        self._signals.give_back()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave signals to Lightning again, whose own exit after SIGTERM gets its code; say which process is gone."""
        self._signals.give_back()
        if isinstance(exception, SIGTERMException) and exception.code is None:
            exception.code = self._signals.code(Stop.TERMINATION)
        if (said := _said_of_lost(trainer, exception)) is not None:
            exception.add_note(said)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Save and leave if a step has ended, unless the end of the epoch follows."""
        is_validated = is_validated_next(trainer)
        self._before_validation = generator_states(trainer.strategy.root_device) if is_validated else None
        is_last = trainer.is_last_batch or trainer.global_step == trainer.max_steps
        if ends_step(trainer) and (is_validated or not is_last):
            self._stop_if_asked(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save and leave before a validation."""
        if _is_in_training(trainer) and ends_step(trainer):
            self._stop_in_validation(trainer, pl_module)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Save and leave within a validation of one process."""
        if _is_in_training(trainer) and trainer.world_size == 1 and ends_step(trainer):
            self._stop_in_validation(trainer, pl_module, begun=True)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save and leave after an epoch, unless it was the last one."""
        if not _is_done(trainer):
            self._stop_if_asked(trainer)

    def _stop_in_validation(self, trainer: Trainer, module: LightningModule, begun: bool = False) -> None:
        """Save what was there before the validation, and leave."""
        stop = self._signals.asked(trainer)
        if stop is Stop.NO:
            return
        if begun:
            for callback in callbacks_of(trainer):
                if isinstance(callback, WeightAveraging):
                    # It has put the average in place of the weights.
                    callback.on_validation_epoch_end(trainer, module)
        go_back_before_validation(trainer)
        if self._before_validation is not None:
            restore_generators(self._before_validation, trainer.strategy.root_device)
        with torch.inference_mode(False):
            self._stop(trainer, stop)

    def _stop_if_asked(self, trainer: Trainer) -> None:
        stop = self._signals.asked(trainer)
        if stop is not Stop.NO:
            self._stop(trainer, stop)

    def _stop(self, trainer: Trainer, stop: Stop) -> NoReturn:
        """Save, say where, and leave."""
        if self._signals.requeue(stop):
            saved = "A checkpoint was saved and the job requeued."
        elif (path := _last_path(trainer)) is None:
            saved = "Nothing was saved, because the trainer has no ModelCheckpoint."
        else:
            trainer.save_checkpoint(path, weights_only=False)
            saved = f"Saved {path}, from which `ckpt_path` goes on."
        rank_zero_info(f"{self._signals.name(stop)}: stopped after step {trainer.global_step}. {saved}")
        raise SIGTERMException(self._signals.code(stop))


def signal_checkpoints(trainer: Trainer) -> list[Callback]:
    """Return a `SignalCheckpoint` for a trainer that has none yet."""
    has_one = any(isinstance(callback, SignalCheckpoint) for callback in callbacks_of(trainer))
    return [] if has_one or getattr(trainer, "fast_dev_run", False) else [SignalCheckpoint()]


def _said_of_lost(trainer: Trainer, error: BaseException) -> str | None:
    if trainer.state.fn != "fit":
        return killed_worker(error) or lost_rank(error)
    epoch, taken = epoch_and_batches(trainer)
    return killed_worker(error, f" after batch {taken} of epoch {epoch + 1}") or lost_rank(error)


def _is_in_training(trainer: Trainer) -> bool:
    return trainer.state.fn == "fit" and not trainer.sanity_checking


def _is_done(trainer: Trainer) -> bool:
    """Return True after the last epoch."""
    reached = trainer.max_epochs not in (None, -1) and trainer.current_epoch + 1 >= (trainer.max_epochs or 0)
    return reached or trainer.should_stop or trainer.global_step == trainer.max_steps


def _last_path(trainer: Trainer) -> str | None:
    """Return the path of the last state of a ModelCheckpoint, free or its own; None without one."""
    kept = [each for each in trainer.checkpoint_callbacks if isinstance(each, ModelCheckpoint)]
    kept.sort(key=lambda callback: not callback.save_last)
    if not kept:
        return None
    callback = kept[0]
    if not callback.last_model_path:
        stem = f"{callback.dirpath}/{callback.CHECKPOINT_NAME_LAST}"
        names = (f"{stem}{ending}{callback.FILE_EXTENSION}" for ending in ("", *(f"-v{n}" for n in range(1, 10_000))))
        callback.last_model_path = next(name for name in names if not callback.file_exists(name, trainer))
    return callback.last_model_path
