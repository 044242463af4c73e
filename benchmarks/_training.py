"""What the benchmarks that train share: a quiet Lightning, batches that are made once, and the end of each step."""

import logging
import statistics
import time
import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeVar

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import Dataset

Batch = TypeVar("Batch")


def silence() -> None:
    """Silence what Lightning logs about itself in every one of the runs."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


def quiet_trainer(**options: Any) -> Trainer:
    """Build a trainer that shows and writes nothing."""
    return Trainer(
        logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False, **options
    )


class Batches(Dataset[Batch]):
    """Batches that are made before the training."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        return self.batches[index]


class Clock(Callback):
    """Notes when each training step ends, on a GPU by its own clock."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self.ends: list[float] = []
        self.events: list[torch.cuda.Event] = []

    def lap(self) -> None:
        """Note the end of a step."""
        if self.device == "cpu":
            self.ends.append(time.perf_counter())
            return
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self.events.append(event)

    def seconds(self) -> float:
        """Return the median time of a step but the first."""
        if self.device == "cpu":
            return statistics.median(end - begin for begin, end in pairwise(self.ends))
        torch.cuda.synchronize()
        return statistics.median(float(begin.elapsed_time(end)) / 1e3 for begin, end in pairwise(self.events))

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        """Note the end of a step of Lightning."""
        self.lap()
