"""Evaluations in which ranks have different numbers of batches, such as one of a stream, or none at all."""

import torch.distributed as dist
from torch.distributed.fsdp import FSDPModule
from torch.nn.parallel import DistributedDataParallel

from lightning_abkd.distributed import gather_objects
from lightning_abkd.training._pieces import hold_whole, release
from lightning_abkd.training._sharding import Sharding
from lightning_abkd.training._teacher import Teacher


class UnevenSets(Sharding):
    """Mixin for evaluations and predictions in which a rank waits for no other until all have seen their batches.

    Every forward pass of a wrapped or sharded module waits for the other ranks: DistributedDataParallel for the buffers
    of the first, `fully_shard` for pieces of weights. Where not all ranks have equally many batches, buffers are sent
    once before, and weights are gathered once and kept whole until the end. A stream, whose length nobody knows, is
    such a case.
    """

    _teacher: Teacher | None = None

    def on_validation_start(self) -> None:
        """Prepare for sets of different lengths."""
        self._begin(self.trainer.num_val_batches)

    def on_test_start(self) -> None:
        """Prepare for sets of different lengths."""
        self._begin(self.trainer.num_test_batches)

    def on_predict_start(self) -> None:
        """Prepare for sets of different lengths."""
        self._begin(self.trainer.num_predict_batches)

    def on_validation_end(self) -> None:
        """Go back to weights in pieces."""
        self._end()

    def on_test_end(self) -> None:
        """Go back to weights in pieces."""
        self._end()

    def on_predict_end(self) -> None:
        """Go back to weights in pieces."""
        self._end()

    def _begin(self, batches: list[int | float]) -> None:
        if self.trainer.world_size == 1 or not _are_uneven(gather_objects(batches)):
            return
        wrapper = self.trainer.strategy.model
        if isinstance(wrapper, DistributedDataParallel) and wrapper.broadcast_buffers:
            for buffer in self.buffers():
                dist.broadcast(buffer, 0)
            wrapper.broadcast_buffers = False
            # In a list, because a module takes what it is given for a part of itself.
            self._silenced = [wrapper]
        self.hold_whole_weights()

    def hold_whole_weights(self) -> None:
        """Keep all weights whole on every rank until the evaluation ends, so that ranks need not run networks equally.

        Every rank has to call it. It does nothing where no weight lies in pieces.
        """
        if isinstance(self, FSDPModule):
            # A first forward pass, of nothing, lets torch find out which module is the outermost one.
            self.with_whole_weights(_nothing)
            hold_whole(self)
        if self._teacher is not None:
            self._teacher.placement.hold_whole()
        self._is_held = True

    def _end(self) -> None:
        for wrapper in vars(self).pop("_silenced", []):
            wrapper.broadcast_buffers = True
        if vars(self).pop("_is_held", False):
            self.release_weights()
        elif isinstance(self, FSDPModule):
            # What is whole now would stay so, and not see what changes the weights before the next step.
            self.reshard()

    def release_weights(self) -> None:
        """Keep pieces alone of weights that were held."""
        self._is_held = False
        if isinstance(self, FSDPModule):
            release(self)
        if self._teacher is not None:
            self._teacher.placement.release()


def _are_uneven(batches: list[list[int | float]]) -> bool:
    return any(one != batches[0] or float("inf") in one for one in batches)


def _nothing() -> None:
    """Do nothing."""
