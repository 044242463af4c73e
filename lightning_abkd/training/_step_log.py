"""Logging of training steps and evaluated batches."""

from collections.abc import Mapping

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lightning_abkd.training._lightning import log_interval, resumes_within_epoch


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
    named = {f"train/{name}": value for name, value in zip(values, fetched, strict=True)}
    module.log_dict(named, prog_bar=True, on_step=True, on_epoch=False, batch_size=positions)


def log_epoch(module: LightningModule, stage: str, values: Mapping[str, Tensor], positions: int) -> None:
    """Log values of an evaluated batch, shape () each, as means over all positions and ranks."""
    named = {f"{stage}/{name}": value.detach() for name, value in values.items()}
    module.log_dict(named, prog_bar=True, sync_dist=True, add_dataloader_idx=False, batch_size=positions)
