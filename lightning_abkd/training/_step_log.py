"""What is logged of steps, and when."""

from collections.abc import Mapping

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor


def is_logged(trainer: Trainer, batch_idx: int) -> bool:
    """Tell whether a training batch is logged: where loggers write, and at both ends of an epoch or a fit.

    Each value costs Lightning more time than a term of a loss, and a value on the progress bar waits for the device.
    """
    step, every = trainer.global_step + 1, trainer.log_every_n_steps  # type: ignore[attr-defined]
    first = batch_idx == 0 or trainer.fit_loop.epoch_loop.restarting
    return first or trainer.is_last_batch or step == trainer.max_steps or (every > 0 and step % every == 0)


def log_step(module: LightningModule, values: Mapping[str, Tensor], positions: int) -> None:
    """Log values of a training batch, shape () each, which come from the device in one piece."""
    fetched = torch.stack(list(values.values())).detach().cpu().unbind()
    named = {f"train/{name}": value for name, value in zip(values, fetched, strict=True)}
    module.log_dict(named, prog_bar=True, on_step=True, on_epoch=False, batch_size=positions)


def log_epoch(module: LightningModule, stage: str, values: Mapping[str, Tensor], positions: int) -> None:
    """Log values of a batch that is evaluated, shape () each, as means over all positions and ranks."""
    named = {f"{stage}/{name}": value.detach() for name, value in values.items()}
    module.log_dict(named, prog_bar=True, sync_dist=True, add_dataloader_idx=False, batch_size=positions)
