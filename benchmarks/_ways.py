"""The ways to train a pair of networks that are compared: this library, a bare loop and plain Lightning."""

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic

import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader

from _training import Batch, Batches, Clock, quiet_trainer
from lightning_abkd.modules import DistillationModule

OURS = "this library"
LOOP = "bare loop"
PLAIN = "plain LightningModule"

# Teacher, student and batch; returns the loss.
Loss = Callable[[nn.Module, nn.Module, Batch], Tensor]
Optimizer = Callable[[Iterator[nn.Parameter]], torch.optim.Optimizer]
ON_GPU = {"accelerator": "gpu", "devices": 1, "precision": "bf16-mixed"}


@dataclass(frozen=True)
class Run:
    """A way to train; `teacher` is the teacher network that it runs."""

    teacher: nn.Module
    train: Callable[[Clock], None]


@dataclass(frozen=True)
class Pair(Generic[Batch]):
    """Two networks, their batches of images or tokens, and how they are trained.

    Attributes:
        unit: What is counted.
        count: How many of them a batch has.
        device: "cpu" or "cuda".
        loss: What a user would write.
        module: This library's module, without the networks.
        peers: Further losses for the loop, by name.
        halved: Whether a teacher in bfloat16 is measured too.
    """

    unit: str
    count: int
    device: str
    teacher: nn.Module
    student: nn.Module
    batches: Batches[Batch]
    loss: Loss[Batch]
    optimizer: Optimizer
    module: Callable[..., DistillationModule]
    peers: dict[str, Loss[Batch]]
    halved: bool

    def ways(self, compiled: bool) -> dict[str, Callable[[], Run]]:
        """Name all ways to train, each built when it is called."""
        bare = partial(self._loop, self.loss)
        ways: dict[str, Callable[[], Run]] = {OURS: self._ours, LOOP: bare, PLAIN: self._plain}
        if self.halved:
            ways[f"{OURS}, teacher in bfloat16"] = partial(self._ours, dtype="bfloat16")
        if compiled:
            ways[f"{OURS}, teacher compiled"] = partial(self._ours, compiled=True)
        return ways | {name: partial(self._loop, loss) for name, loss in self.peers.items()}

    def _ours(self, dtype: str | None = None, compiled: bool = False) -> Run:
        teacher = copy.deepcopy(self.teacher) if dtype or compiled else self.teacher
        if compiled:
            getattr(teacher, "base_model", teacher).compile()
        make = partial(self.module, teacher, self.student, optimizer=self.optimizer, teacher_dtype=dtype)
        # Casts the teacher, which is not to be measured.
        make()
        return Run(teacher, partial(self._fit, make))

    def _plain(self) -> Run:
        return Run(self.teacher, partial(self._fit, partial(Plain, self)))

    def _fit(self, make: Callable[[], LightningModule], clock: Clock) -> None:
        options: dict[str, Any] = {"accelerator": "cpu"} if self.device == "cpu" else ON_GPU
        trainer = quiet_trainer(max_epochs=1, callbacks=[clock], **options)
        trainer.fit(make(), DataLoader(self.batches, batch_size=None))

    def _loop(self, loss: Loss[Batch]) -> Run:
        return Run(self.teacher, partial(self._train_by_hand, loss))

    def _train_by_hand(self, loss: Loss[Batch], clock: Clock) -> None:
        optimizer = self.optimizer(self.student.parameters())
        self.teacher.to(self.device)
        self.student.to(self.device).train()
        for batch in DataLoader(self.batches, batch_size=None):
            moved = move_data_to_device(batch, torch.device(self.device))
            with self._autocast():
                value = loss(self.teacher, self.student, moved)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            clock.lap()

    def _autocast(self) -> AbstractContextManager[object]:
        """Run in bfloat16 on a GPU."""
        return nullcontext() if self.device == "cpu" else torch.autocast("cuda", torch.bfloat16)


class Plain(LightningModule, Generic[Batch]):
    """The same step as a few lines of Lightning."""

    def __init__(self, pair: Pair[Batch]) -> None:
        super().__init__()
        self.teacher = pair.teacher
        self.student = pair.student
        self.pair = pair

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Compute and log the loss."""
        loss = self.pair.loss(self.teacher, self.student, batch)
        self.log("loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Train the student."""
        return self.pair.optimizer(self.student.parameters())
