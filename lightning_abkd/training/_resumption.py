"""What a fit that goes on from the end of an epoch needs beside what Lightning saves."""

from collections.abc import Mapping

import torch
from lightning.pytorch import Trainer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lightning_abkd.training._lightning import begins_loader, begun_epochs

State = dict[str, object]


class Resumption:
    """Lets a fit that goes on from the end of an epoch do what it would have done.

    Lightning draws the order of a shuffled loader from torch's generator, whose state it does not save. It moves a
    `ReduceLROnPlateau` after the checkpoint of an epoch is written, and not again after a resume.
    """

    def __init__(self) -> None:
        self._state: Mapping[str, object] = {}

    def take(self, state: Mapping[str, object]) -> None:
        """Go on from the state of a checkpoint, or from none."""
        self._state = state

    def move_schedules(self, trainer: Trainer) -> None:
        """Move each schedule that watches a value and was not moved at the end of the epoch."""
        watched = self._state.get("watched")
        for config in trainer.lr_scheduler_configs:
            scheduler = config.scheduler
            value = watched.get(config.monitor) if isinstance(watched, dict) else None
            if value is None or not isinstance(scheduler, ReduceLROnPlateau) or config.interval != "epoch":
                continue
            if scheduler.last_epoch < trainer.current_epoch // config.frequency:
                scheduler.step(value)

    def restore_generator(self) -> None:
        """Set torch's generator to what it was when the epoch had ended."""
        generator = self._state.get("generator")
        if isinstance(generator, torch.Tensor):
            torch.set_rng_state(generator.cpu())

    def begin_epoch(self, trainer: Trainer) -> None:
        """Set torch's generator once more, if the loader is begun anew in the first epoch after the resume."""
        self.move_schedules(trainer)
        if self._state.get("epoch") == trainer.current_epoch and begins_loader(trainer):
            self.restore_generator()
        self._state = {}


def state_of(trainer: Trainer) -> State:
    """Return the state of a fit at the end of an epoch, "generator" on one process alone; nothing within an epoch."""
    if not trainer.is_last_batch:
        return {}
    names = {str(config.monitor) for config in trainer.lr_scheduler_configs if config.reduce_on_plateau}
    metrics = trainer.callback_metrics
    state: State = {"epoch": begun_epochs(trainer), "watched": {n: metrics[n].item() for n in names if n in metrics}}
    return state if trainer.world_size > 1 else state | {"generator": torch.get_rng_state()}
