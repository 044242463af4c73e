"""How long a training is, for what is spread over the whole of it."""

import math

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import GradientAccumulationScheduler, Timer

from lightning_abkd.training._lightning import callbacks_of
from lightning_abkd.training._positions import Interval


def training_length(trainer: Trainer, interval: Interval, user: str) -> int:
    """Compute the number of optimizer steps or epochs of a fit.

    Args:
        trainer: The trainer, in a fit.
        interval: What is counted. Steps follow from `max_steps`, or from `max_epochs` and data with a length; epochs
            from `max_epochs`, or from `max_steps` and data with a length.
        user: What asks, for the message.

    Raises:
        ValueError: If the trainer stops by neither of them, or its data have no length where that is needed.
    """
    epochs = -1 if trainer.max_epochs is None else trainer.max_epochs
    if epochs < 0 and trainer.max_steps < 0:
        timed = any(isinstance(callback, Timer) for callback in callbacks_of(trainer))
        stop = "one that only `max_time` ends" if timed else "an endless trainer"
        raise ValueError(
            f"{user} should know the length of the training. Found {stop}. Set trainer.max_epochs or trainer.max_steps."
        )
    if interval == "epoch" and epochs >= 0:
        return epochs
    if interval == "step" and epochs < 0:
        return trainer.max_steps
    return _length_by_data(trainer, interval, epochs, user)


def _length_by_data(trainer: Trainer, interval: Interval, epochs: int, user: str) -> int:
    trainer.fit_loop.setup_data()
    # Lightning looks at no loader then, and its number of batches stays infinite.
    batches = trainer.num_training_batches if trainer.limit_train_batches else 0
    if not math.isfinite(batches):
        if interval == "step" and trainer.max_steps >= 0:
            return trainer.max_steps
        missing = "trainer.max_steps" if interval == "step" else "trainer.max_epochs"
        raise ValueError(
            f"{user} should know the number of {interval}s of the training. Found training data without a length. "
            f"Set {missing}{', or count epochs by `epoch` as the interval' if interval == 'step' else ''}."
        )
    return _steps(trainer, int(batches), epochs) if interval == "step" else _epochs(trainer, int(batches))


def _steps(trainer: Trainer, batches: int, epochs: int) -> int:
    steps = sum(_steps_of_epoch(trainer, batches, epoch) for epoch in range(epochs))
    return steps if trainer.max_steps < 0 else min(steps, trainer.max_steps)


def _epochs(trainer: Trainer, batches: int) -> int:
    """Count the epochs that `max_steps` takes."""
    steps = 0
    epochs = 0
    while batches and steps < trainer.max_steps:
        steps += _steps_of_epoch(trainer, batches, epochs)
        epochs += 1
    return epochs


def _steps_of_epoch(trainer: Trainer, batches: int, epoch: int) -> int:
    schedulers = [callback for callback in callbacks_of(trainer) if isinstance(callback, GradientAccumulationScheduler)]
    micro = schedulers[0].get_accumulate_grad_batches(epoch) if schedulers else trainer.accumulate_grad_batches
    return math.ceil(batches / micro)
