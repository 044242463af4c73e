"""Trainings of images and of language that write down each step, and a fault at a chosen point of them."""

import json
import os
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn

from lightning_abkd.callbacks import AlphaBetaScheduler
from lightning_abkd.data import ImageDataModule
from lightning_abkd.losses import AlphaBetaDivergence
from lightning_abkd.modules import AdaptiveOffPolicy, DistillationModule, Sampling
from lightning_abkd.schedules import Linear
from tests.language._text import instruction_data, language_module, network

STEPS = "steps.jsonl"


class Noise:
    """Images without meaning, in memory."""

    def __init__(self, size: int) -> None:
        generator = torch.Generator().manual_seed(size)
        self.images = torch.randn(size, 1, 2, 2, generator=generator)
        self.targets = torch.randint(0, 3, (size,), generator=generator)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.images[index], self.targets[index]


class NoiseDataModule(ImageDataModule):
    """Sixteen images to learn from and six to validate on."""

    num_classes = 3

    def __init__(self, batch_size: int = 4, num_workers: int = 0) -> None:
        super().__init__(
            data_dir=".",
            augment=False,
            download=False,
            on_error="raise",
            batch_size=batch_size,
            num_workers=num_workers,
        )

    def dataset(self, split: str) -> Noise:
        return Noise(16 if split == "train" else 6)

    def transform(self, augment: bool) -> nn.Module:
        return nn.Flatten(0)


class Fault(Callback):
    """Sends a signal to its own process when a hook is called for the nth time, counted from 1."""

    def __init__(self, hook: str, call: int, number: int = signal.SIGTERM) -> None:
        self.left = call
        self.number = number
        setattr(self, hook, self.count)

    def count(self, *unused: Any, **others: Any) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)


class Steps(Callback):
    """Writes loss, α and β of each step of the first rank into a file; a resumed run adds to it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / STEPS

    def write(self, trainer: Trainer, *values: object) -> None:
        if trainer.is_global_zero:
            with self.path.open("a") as file:
                file.write(f"{json.dumps([trainer.global_step, *values])}\n")

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, i: int) -> None:
        divergence: Any = module.divergence
        self.write(trainer, outputs["loss"].item(), divergence.alpha.item(), divergence.beta.item())

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self.write(trainer, "val", trainer.callback_metrics["val/loss"].item())


def steps(folder: Path) -> dict[str, list[float]]:
    """Return what was written of each step and validation; of a step that was taken twice the later one."""
    rows = [json.loads(line) for line in (folder / STEPS).read_text().splitlines()]
    return {f"{row[0]}{' val' * (row[1] == 'val')}": row[1:] for row in rows}


def image_module() -> DistillationModule:
    teacher, student = nn.Linear(4, 3), nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Linear(8, 3))
    return DistillationModule(teacher, student, AlphaBetaDivergence())


def on_policy_module() -> DistillationModule:
    policy = AdaptiveOffPolicy(0.6, step=0.2, tolerance=0.0, capacity=4, sampling=Sampling(max_new_tokens=3))
    student = network(2, resid_pdrop=0.2)
    return language_module(
        student=student,
        student_data=policy,
        divergence=AlphaBetaDivergence(),
        optimizer=lambda p: torch.optim.SGD(p, lr=0.1),
    )


def parts(folder: Path, kind: str) -> tuple[LightningModule, LightningDataModule]:
    """Return the module and the data of a training of images or of language."""
    seed_everything(0, verbose=False)
    if kind == "images":
        return image_module(), NoiseDataModule()
    return on_policy_module(), instruction_data(folder, batch_size=2, validation_file=str(folder / "train.jsonl"))


@contextmanager
def quiet() -> Iterator[None]:
    """Let warnings pass that are about a tiny training."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def train(
    folder: Path,
    kind: str = "images",
    callbacks: Sequence[Callback] = (),
    resume: str | None = "last",
    kept: bool = True,
    data: LightningDataModule | None = None,
    **options: Any,
) -> list[str]:
    """Train for twelve steps, with a checkpoint after every third if `kept`, or go on from the last one."""
    module, own = parts(folder, kind)
    schedule = AlphaBetaScheduler(alpha=Linear(1.0, 0.2), beta=Linear(0.0, 0.8))
    keepers = [ModelCheckpoint(folder / "kept", save_last=True, every_n_train_steps=3)] if kept else []
    with quiet():
        trainer = Trainer(
            **{
                "default_root_dir": folder,
                "accelerator": "cpu",
                "max_epochs": 3,
                "num_sanity_val_steps": 0,
                "logger": False,
                "enable_progress_bar": False,
                "enable_model_summary": False,
                "callbacks": [schedule, Steps(folder), *keepers, *callbacks],
                "enable_checkpointing": kept,
                **options,
            }
        )
        trainer.fit(module, datamodule=data or own, ckpt_path=resume)
    return sorted(each.name for each in (folder / "kept").iterdir())
