"""Logging of training steps."""

from collections.abc import Mapping

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lightning_abkd.training._batches import Signals
from lightning_abkd.training._lightning import log_interval, resumes_within_epoch
from lightning_abkd.training._terms import accuracy, counted

# What fits the progress bar; everything else is for loggers.
_ON_THE_BAR = ("loss", "task_loss", "divergence")


def is_logged(trainer: Trainer, batch_idx: int) -> bool:
    """Return True if a training batch is logged: every `log_every_n_steps`, and at both ends of an epoch or a fit.

    Logging a value costs Lightning more time than computing a term of a loss, and a value on the progress bar waits for
    the device.
    """
    if batch_idx == 0 or resumes_within_epoch(trainer) or trainer.is_last_batch:
        return True
    step = trainer.global_step + 1
    interval = log_interval(trainer)
    return step == trainer.max_steps or (interval > 0 and step % interval == 0)


def log_step(module: LightningModule, values: Mapping[str, Tensor], positions: int) -> None:
    """Log values of a training batch, shape () each, which are copied from the device at once."""
    fetched = torch.stack(list(values.values())).detach().cpu().unbind()
    for name, value in zip(values, fetched, strict=True):
        shown = name in _ON_THE_BAR
        module.log(f"train/{name}", value, prog_bar=shown, on_step=True, on_epoch=False, batch_size=positions)


def log_terms(module: LightningModule, values: Mapping[str, Tensor], signals: Signals, batch_idx: int) -> None:
    """Log the losses of a training batch and the accuracy, if the batch is logged and a position of it counts."""
    if is_logged(module.trainer, batch_idx) and int(counted(signals)):
        positions = signals["student_logits"].shape[:-1].numel()
        log_step(module, values, positions)
        if found := accuracy(signals):
            log_step(module, found, positions)


def log_agreed(module: LightningModule, values: Mapping[str, Tensor]) -> None:
    """Log values at the end of an epoch that are the same on all ranks already.

    Lightning warns of values that it does not reduce, and weights means by whole numbers of samples. The largest of
    equal values is each of them.
    """
    module.log_dict(dict(values), sync_dist=True, reduce_fx="max")
