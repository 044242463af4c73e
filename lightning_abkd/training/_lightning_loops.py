"""Where the loops of a trainer are, by names which Lightning keeps private or does not annotate.

Lightning 2.6: `Trainer._evaluation_loop`, `Trainer._val_check_time_interval`, `_EvaluationLoop._combined_loader`,
`fit_loop.epoch_loop.restarting`, `fit_loop._data_fetcher`, `_should_accumulate` and `_should_check_val_fx` of the
epoch's loop, the state of the loops in checkpoints.
"""

import math
from collections.abc import Mapping

from lightning.pytorch import Trainer
from lightning.pytorch.utilities.combined_loader import CombinedLoader


def evaluation_loader(trainer: Trainer, number: int) -> object:
    """Return the loader of a set that is validated or tested, as Lightning has prepared it; None without one."""
    combined = getattr(trainer._evaluation_loop, "_combined_loader", None)
    return None if combined is None else combined.flattened[number]


def resumes_within_epoch(trainer: Trainer) -> bool:
    """Return True for the first batch after a resume in the middle of an epoch."""
    restarting: bool = trainer.fit_loop.epoch_loop.restarting
    return restarting


def epoch_and_batches(trainer: Trainer) -> tuple[int, int]:
    """Return the current epoch of a fit and the number of its batches that training has taken already."""
    loop = trainer.fit_loop
    epoch: int = getattr(loop.epoch_progress.current, "processed")  # noqa: B009
    return epoch, loop.epoch_loop.batch_progress.current.ready


def begun_batches(trainer: Trainer) -> int:
    """Return the number of training batches that a fit has begun, those of a fit that it goes on with too."""
    begun: int = trainer.fit_loop.epoch_loop.batch_progress.total.ready
    return begun


def begun_epochs(trainer: Trainer) -> int:
    """Return the number of epochs that a fit has begun."""
    begun: int = trainer.fit_loop.epoch_progress.current.ready
    return begun


def begins_loader(trainer: Trainer) -> bool:
    """Return True if the epoch that starts begins its loader; that of a resumed fit may have begun before."""
    return trainer.current_epoch > 0 and not trainer.fit_loop.is_resuming and not trainer.fit_loop.epoch_loop.restarting


def batches_are_left(trainer: Trainer) -> bool:
    """Return True if a resumed fit goes on with an epoch of which it has taken some batches and not all."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    return trainer.fit_loop.restarted_mid_epoch and not progress.is_last_batch and progress.current.ready > 0


def goes_on_behind_epoch(trainer: Trainer) -> bool:
    """Return True if a resumed fit has yet to end an epoch whose batches it has taken."""
    loop = trainer.fit_loop
    return (
        loop.restarted_mid_epoch and not batches_are_left(trainer) and not loop.epoch_loop.restarted_on_train_batch_end
    )


def begins_epoch_again(trainer: Trainer) -> bool:
    """Return True if a resumed fit takes an epoch from its first batch, and Lightning does not warn of it."""
    loaders = CombinedLoader(trainer.train_dataloader).flattened
    if not batches_are_left(trainer) or all(hasattr(loader, "load_state_dict") for loader in loaders):
        return False
    batches = trainer.num_training_batches
    # Lightning does not know the length of an iterable, and takes steps within an epoch for those of whole ones.
    return math.isinf(batches) or trainer.global_step % math.ceil(batches / trainer.accumulate_grad_batches) == 0


def is_before_validation(trainer: Trainer) -> bool:
    """Return True where a training batch has ended, and a validation of its epoch follows that has not begun."""
    loop = trainer.fit_loop
    total = vars(loop.epoch_loop.batch_progress.total)
    follows_clock = getattr(trainer, "_val_check_time_interval", None) is not None
    if loop._data_fetcher is None or follows_clock or not trainer.enable_validation:
        return False
    return total["completed"] == total["processed"] - 1 and loop.epoch_loop._should_check_val_fx(loop._data_fetcher)


def begin_with_validation(checkpoint: Mapping[str, object]) -> None:
    """Change the state of the loops, in place, so that a fit goes on with the validation that follows a batch.

    Lightning would leave the validation out. It goes on with one in whose first batch it stopped.
    """
    loops = checkpoint["loops"]
    fit = loops["fit_loop"] if isinstance(loops, dict) else {}
    batches, validated = (fit[f"epoch_loop.{name}batch_progress"] for name in ("", "val_loop."))
    for tracker in ("total", "current"):
        batches[tracker]["completed"] = batches[tracker]["processed"]
    total = validated["total"]
    total |= {"ready": total["completed"] + 1, "started": total["completed"] + 1, "processed": total["completed"]}
    validated["current"] = dict.fromkeys(validated["current"], 0)


def forget_validation(trainer: Trainer) -> None:
    """Take back, where the fit has found its place, what `begin_with_validation` has counted."""
    total = vars(trainer.fit_loop.epoch_loop.val_loop.batch_progress.total)
    total |= {"ready": total["completed"], "started": total["completed"]}


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
    validated = loop.val_loop.batch_progress
    trained = loop.batch_progress
    for name in ("ready", "started", "processed", "completed"):
        setattr(validated.total, name, getattr(validated.total, name) - getattr(validated.current, name))
        setattr(validated.current, name, 0)
    trained.total.completed -= 1
    trained.current.completed -= 1
