"""What a fit that goes on from a checkpoint needs beside what Lightning saves."""

from collections.abc import Mapping, Sequence

import torch
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lightning_abkd.training._lightning import trainer_of
from lightning_abkd.training._lightning_loops import (
    batches_are_left,
    begin_with_validation,
    begins_epoch_again,
    begins_loader,
    begun_epochs,
    forget_validation,
    goes_on_behind_epoch,
    is_before_validation,
)
from lightning_abkd.training._open_step import restore_step, step_state
from lightning_abkd.training._rank_states import restore_generators_of_rank, states_of_ranks, take_states_of_ranks
from lightning_abkd.training._step_mean import StepMean
from lightning_abkd.training._training_order import ResumableLoader

State = dict[str, object]

_BEGINS_AGAIN = (
    "The fit goes on in the middle of an epoch, and its loader begins with the first batch again, because it has no "
    "`state_dict`. Resume from the end of an epoch, or take a data module of `lightning_abkd.data` or a loader that "
    "keeps its place, such as torchdata's StatefulDataLoader."
)


class Resumption:
    """Lets a fit that goes on from a checkpoint do what it would have done.

    Lightning draws the order of a shuffled loader, and dropout its masks, from generators whose states it does not
    save. It moves a `ReduceLROnPlateau` after the checkpoint of an epoch is written, and not again after a resume.
    """

    def __init__(self) -> None:
        self._state: Mapping[str, object] = {}
        self._draws: Sequence[State] = []

    def take(self, state: Mapping[str, object]) -> None:
        """Go on from the state of a checkpoint, or from none."""
        self._state = state
        self._draws = []

    def move_schedules(self, trainer: Trainer) -> None:
        """Move each schedule that watches a value and was not moved at the end of the epoch."""
        saved = self._state.get("watched")
        if not isinstance(saved, dict):
            return
        watched = saved | trainer.callback_metrics
        for config in trainer.lr_scheduler_configs:
            scheduler = config.scheduler
            value = watched.get(config.monitor)
            if value is None or not isinstance(scheduler, ReduceLROnPlateau) or config.interval != "epoch":
                continue
            if scheduler.last_epoch < trainer.current_epoch // config.frequency:
                scheduler.step(value)

    def restore_generators(self, trainer: Trainer) -> None:
        """Set the generators of this process to what they were when the checkpoint was written."""
        restore_generators_of_rank(_ranks(self._state), trainer)

    def begin(self, trainer: Trainer, module: LightningModule, step: StepMean) -> None:
        """Go on within an epoch, for which the loader has begun, and within an optimizer step."""
        self.move_schedules(trainer)
        is_within = batches_are_left(trainer)
        if is_within or goes_on_behind_epoch(trainer):
            self.restore_generators(trainer)
        if begins_epoch_again(trainer):
            rank_zero_warn(_BEGINS_AGAIN, category=PossibleUserWarning)
        if self._state.get("validates"):
            forget_validation(trainer)
        elif is_within or isinstance(trainer.train_dataloader, ResumableLoader):
            # Lightning begins the loaders of a validation once more before it trains, which draws.
            self._draws = _ranks(self._state)
        restore_step(self._state, module, trainer, step)

    def begin_batch(self, trainer: Trainer) -> None:
        """Set the generators once more for the first batch, where its loader draws nothing from them."""
        restore_generators_of_rank(self._draws, trainer)
        self._draws = []

    def begin_epoch(self, trainer: Trainer) -> None:
        """Set the generators once more, if the loader is begun anew in the first epoch after the resume."""
        self.move_schedules(trainer)
        if self._state.get("epoch") == trainer.current_epoch and begins_loader(trainer):
            self.restore_generators(trainer)
        self._state = {}


def state_of(module: LightningModule, trainer: Trainer, step: StepMean) -> State:
    """Return the state of a fit; "epoch" is the one that comes next where the checkpoint is of the end of an epoch."""
    names = {str(config.monitor) for config in trainer.lr_scheduler_configs if config.reduce_on_plateau}
    metrics = trainer.callback_metrics
    state: State = {"watched": {name: metrics[name].item() for name in names if name in metrics}}
    state |= {"ranks": states_of_ranks(module, trainer), **step_state(module, trainer, step)}
    if is_before_validation(trainer):
        return state | {"validates": True}
    return state | {"epoch": begun_epochs(trainer)} if trainer.is_last_batch else state


def take_state(state: Mapping[str, object], module: LightningModule, checkpoint: State) -> None:
    """Let the modules of this process go on from what they were; each rank has its own state."""
    if state.get("validates"):
        begin_with_validation(checkpoint)
    trainer = trainer_of(module)
    weights = checkpoint.get("state_dict")
    if trainer is not None and _ranks(state):
        take_states_of_ranks(_ranks(state), module, trainer, weights if isinstance(weights, dict) else {})


def _ranks(state: Mapping[str, object]) -> Sequence[State]:
    """Return the states of the ranks; an older checkpoint has torch's generator of a single one."""
    ranks = state.get("ranks")
    if isinstance(ranks, list):
        return ranks
    generator = state.get("generator")
    return [{"generators": {"torch": generator}}] if isinstance(generator, torch.Tensor) else []
