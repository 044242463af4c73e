"""Speed and memory of a training."""

import resource
import time
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

Batch = dict[str, Tensor]
STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")


class Meter(Callback):
    """Counts tokens and seconds of training alone, and the highest memory that it took."""

    def __init__(self) -> None:
        self.tokens = 0
        self.seconds = 0.0
        self.start = 0.0

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Batch, batch_idx: int) -> None:
        """Start the clock, and forget the peak of what ran before the first batch."""
        self.start = time.perf_counter()
        if batch_idx == 0 and trainer.current_epoch == 0 and CLEAR.exists():
            CLEAR.write_text("5")

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: object, batch: Batch, batch_idx: int
    ) -> None:
        """Stop the clock."""
        self.seconds += time.perf_counter() - self.start
        self.tokens += int(batch["attention_mask"].sum())

    def result(self) -> dict[str, float]:
        """Return tokens per second and GiB."""
        return {"tokens_per_second": self.tokens / self.seconds, "peak_gib": peak_kib() / 2**20}


def peak_kib() -> int:
    """Return the peak resident memory of this process in KiB, as Linux reports it."""
    lines = STATUS.read_text().splitlines() if STATUS.exists() else []
    for line in lines:
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
