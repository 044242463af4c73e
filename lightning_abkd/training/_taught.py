"""A module with a frozen teacher beside it."""

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from lightning_abkd.training._lightning import trainer_of
from lightning_abkd.training._sharding import Sharding
from lightning_abkd.training._teacher import Teacher


class Taught(Sharding):
    """Mixin that lets the teacher follow the module to its device, and places it when a run begins."""

    _teacher: Teacher | None = None

    @property
    def teacher(self) -> nn.Module | None:
        """The frozen teacher network, or None."""
        return None if self._teacher is None else self._teacher.network

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        if self._teacher is not None:
            self._teacher.to(fn(torch.empty(0, device=self.device)).device)
        return self

    def configure_model(self) -> None:
        """Shard under a `ModelParallelStrategy`; check that the teacher is equal on all ranks, and place it."""
        super().configure_model()
        trainer = trainer_of(self)
        if self._teacher is not None and trainer is not None:
            mesh = None if self.device_mesh is None else self.device_mesh["data_parallel"]
            self._teacher.start(trainer.strategy.root_device, mesh)
