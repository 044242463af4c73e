"""A long training of a tiny language model: whether memory, the CPU time of a step or files grow.

python benchmarks/soak.py             20,000 steps
python benchmarks/soak.py --quick     1,000 steps, printed only
"""

import gc
import json
import logging
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from _command import parse, parser
from _report import machine, publish, table
from lightning_abkd.callbacks import AlphaBetaScheduler
from lightning_abkd.data import InstructionDataModule
from lightning_abkd.losses import AlphaBetaDivergence
from lightning_abkd.models import causal_lm_from_config
from lightning_abkd.modules import AdaptiveOffPolicy, LanguageDistillationModule, Sampling
from lightning_abkd.schedules import Linear

# Tokens of a byte tokenizer.
SIZES: dict[str, int | float | str | bool] = {
    "n_layer": 2,
    "n_embd": 8,
    "n_head": 2,
    "n_positions": 32,
    "vocab_size": 384,
    "bos_token_id": 1,
    "eos_token_id": 1,
}
# Of the windows, those that a slope leaves out: caches and the replay buffer fill in them.
WARM_UP = 0.2


class Window(NamedTuple):
    """What was measured at the end of some steps."""

    step: int
    memory: int
    tensors: int
    milliseconds: float
    files: int
    kept_bytes: int
    log_bytes: int


class Watch(Callback):
    """Measures memory, the CPU time of a step and files after every so many steps."""

    def __init__(self, folder: Path, every: int) -> None:
        self.folder = folder
        self.every = every
        self.windows: list[Window] = []
        self._times: list[float] = []
        self._begun = 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Start the clock."""
        self._begun = time.process_time()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop the clock, and measure the rest at the end of a window."""
        self._times.append(time.process_time() - self._begun)
        if trainer.global_step % self.every == 0:
            self.windows.append(self._window(trainer.global_step))
            self._times = []

    def _window(self, step: int) -> Window:
        gc.collect()
        tensors = sum(type(each) is torch.Tensor for each in gc.get_objects())
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        logs = sum(path.stat().st_size for path in files if path.suffix == ".csv")
        kept = sum(path.stat().st_size for path in files) - logs
        return Window(step, resident(), tensors, 1e3 * statistics.median(self._times), len(files), kept, logs)


def resident() -> int:
    """Return the bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def module() -> LanguageDistillationModule:
    """Build the networks and what learns from them, with a replay buffer of the student's own responses."""
    return LanguageDistillationModule(
        teacher=causal_lm_from_config("gpt2", SIZES),
        student=causal_lm_from_config("gpt2", SIZES),
        divergence=AlphaBetaDivergence(),
        student_data=AdaptiveOffPolicy(0.5, capacity=64, sampling=Sampling(max_new_tokens=4)),
    )


def train(folder: Path, steps: int, every: int) -> list[Window]:
    """Train with a validation and a checkpoint after every window, and return what was measured."""
    seed_everything(0, verbose=False)
    lines = [json.dumps({"instruction": f"say {i}", "output": "x" * (1 + i % 9)}) for i in range(64)]
    (folder / "train.jsonl").write_text("\n".join(lines))
    (folder / "validation.jsonl").write_text("\n".join(lines[:8]))
    data = InstructionDataModule(
        train_file=str(folder / "train.jsonl"),
        validation_file=str(folder / "validation.jsonl"),
        template=lambda instruction, _: instruction,
        max_length=16,
        max_prompt_length=8,
        batch_size=4,
    )
    watch = Watch(folder, every)
    schedule = AlphaBetaScheduler(alpha=Linear(1.0, 0.2), beta=Linear(0.0, 0.7))
    keeper = ModelCheckpoint(folder / "kept", monitor="val/loss", save_top_k=2, save_last=True)
    trainer = Trainer(
        max_steps=steps,
        max_epochs=-1,
        accelerator="cpu",
        val_check_interval=every,
        check_val_every_n_epoch=None,
        callbacks=[schedule, watch, keeper],
        logger=CSVLogger(str(folder), name="log", version=""),
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module(), datamodule=data)
    return watch.windows


def slope(windows: Sequence[Window], name: str) -> float:
    """Return by how much a number grows in 1,000 steps, by least squares after the warm-up."""
    rest = windows[round(WARM_UP * len(windows)) :]
    return 1e3 * float(np.polyfit([each.step for each in rest], [getattr(each, name) for each in rest], 1)[0])


def report(windows: Sequence[Window]) -> str:
    """Lay out ten of the windows, and the slopes of all."""
    shown = windows[:: max(1, len(windows) // 10)]
    header = ["step", "memory, MiB", "tensors", "CPU ms per step", "files", "kept, KiB", "log, KiB"]
    rows = [
        [
            f"{each.step:,}",
            f"{each.memory / 2**20:.1f}",
            str(each.tensors),
            f"{each.milliseconds:.2f}",
            str(each.files),
            f"{each.kept_bytes / 2**10:.0f}",
            f"{each.log_bytes / 2**10:.0f}",
        ]
        for each in shown
    ]
    typical = statistics.median(each.milliseconds for each in windows)
    grown = {name: slope(windows, name) for name in ("memory", "milliseconds", "tensors", "files", "kept_bytes")}
    text = (
        f"In 1,000 steps memory grows by {grown['memory'] / 2**10:+.1f} KiB, the CPU time of a step by "
        f"{grown['milliseconds'] / typical:+.2%}, tensors by {grown['tensors']:+.2f}, files by {grown['files']:+.3f} "
        f"and their bytes, the log's left out, by {grown['kept_bytes'] / 2**10:+.2f} KiB. Slopes are those of least "
        f"squares after the first {WARM_UP:.0%}."
    )
    return f"{text}\n\n{table(header, rows)}"


def main(options: list[str] | None = None) -> None:
    """Train, and write the table."""
    arguments = parse(parser("soak.py", __doc__), options)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    steps, every = (1000, 100) if arguments.quick else (20_000, 500)
    with tempfile.TemporaryDirectory() as folder:
        windows = train(Path(folder), steps, every)
    about = (
        f"{steps:,} steps of a GPT-2 of width 8 with scheduled α and β, the student's own responses in a replay "
        f"buffer, and a validation and a checkpoint after every {every} steps; {machine()}."
    )
    title = "A long training"
    publish("soak", title, arguments.command, f"{about} {report(windows)}", write=not arguments.quick)


if __name__ == "__main__":
    main()
