"""What makes the host wait for its device, counted while training steps run."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
WAITING = {
    aten._local_scalar_dense,
    aten.nonzero,
    aten.masked_select,
    aten.equal,
    aten.is_nonzero,
    aten.repeat_interleave,
}


class Waits(TorchDispatchMode):
    """Names the operations of which a device would have to tell the host a number or a size."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(
        self,
        function: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        name = function.overloadpacket
        indices = args[1] if name in (aten.index, aten.index_put, aten.index_put_, aten._unsafe_index) else ()
        if name in WAITING or any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in indices):
            self.names.append(name.__name__)
        return function(*args, **(kwargs or {}))


class Watch(Callback):
    """Watches batches to the end of the optimizer's step, but those of the first step and the last, which is logged."""

    def __init__(self) -> None:
        self.steps = 0

    def begin(self) -> None:
        raise NotImplementedError

    def end(self) -> None:
        raise NotImplementedError

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        if batch_idx >= trainer.accumulate_grad_batches and not trainer.is_last_batch:
            self.begin()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        if batch_idx >= trainer.accumulate_grad_batches and not trainer.is_last_batch:
            self.end()
            self.steps += 1


class CountWaits(Watch):
    """Names what would wait for a device."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = Waits()

    def begin(self) -> None:
        self.waits.__enter__()

    def end(self) -> None:
        self.waits.__exit__(None, None, None)


class ForbidWaits(Watch):
    """Turns every wait for the GPU into an error."""

    def begin(self) -> None:
        torch.cuda.set_sync_debug_mode("error")

    def end(self) -> None:
        torch.cuda.set_sync_debug_mode("default")
