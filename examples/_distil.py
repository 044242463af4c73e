"""How the demo stores the teacher's outputs, trains a student from them and evaluates it."""

import argparse
import math
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import CSVLogger
from torch import nn

from _meter import Meter
from _smollm2 import TESTS, data_module, load_teacher
from lightning_abkd import (
    AlphaBetaDivergence,
    AlphaBetaScheduler,
    CachedTeacher,
    Divergence,
    ForwardKL,
    LanguageDistillationModule,
    ReverseKL,
)
from lightning_abkd.callbacks import ResponseEvaluation
from lightning_abkd.models import keep_layers
from lightning_abkd.modules import Sampling
from lightning_abkd.schedules import Linear

VALIDATIONS = 5
BEFORE = "truncated, before"
SCHEDULED = "α-β scheduled"
# Only fine-tuning needs no divergence and no teacher.
METHODS: dict[str, Callable[[], Divergence] | None] = {
    BEFORE: None,
    "SFT": None,
    "forward KL (1, 0)": ForwardKL,
    "reverse KL (0, 1)": ReverseKL,
    "α-β (0.2, 0.7)": partial(AlphaBetaDivergence, 0.2, 0.7),
    SCHEDULED: partial(AlphaBetaDivergence, 1.0, 0.0),
}


def trainer_of(output: Path, **options: Any) -> Trainer:
    """Build a trainer on the CPU that writes and shows only what the options ask for."""
    plain = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    bar = {"enable_progress_bar": sys.stdout.isatty()}
    return Trainer(accelerator="cpu", default_root_dir=output, **plain | bar | options)


def cached_teacher(output: Path) -> CachedTeacher:
    """Build the callback that stores the teacher's outputs on the training data, or reads them."""
    return CachedTeacher(str(output / "teacher-outputs"))


def store_teacher(model: Path, output: Path) -> None:
    """Store the teacher's outputs on the training data, or resume an earlier start."""
    network = load_teacher(model)
    module = LanguageDistillationModule(network, keep_layers(network, [0]), ForwardKL())
    trainer = trainer_of(output, max_steps=0, callbacks=[cached_teacher(output)])
    trainer.fit(module, datamodule=data_module(model, batch_size=16))


def callbacks_of(method: str, output: Path) -> list[Callback]:
    """Build the callbacks of a method: the stored teacher, and a schedule."""
    callbacks: list[Callback] = []
    if METHODS[method]:
        callbacks.append(cached_teacher(output))
    if method == SCHEDULED:
        callbacks.append(AlphaBetaScheduler(alpha=Linear(1.0, 0.2), beta=Linear(0.0, 0.7)))
    return callbacks


def module_of(method: str, student: nn.Module, steps: int) -> LanguageDistillationModule:
    """Build the module of a method, with AdamW, a warm-up over a tenth of the steps and a cosine."""
    warm_up = max(1, steps // 10)

    def rate(step: int) -> float:
        done = max(0, step - warm_up) / max(1, steps - warm_up)
        return min(1.0, (step + 1) / warm_up) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))

    divergence = METHODS[method]
    return LanguageDistillationModule(
        student=student,
        divergence=divergence() if divergence else None,
        task_weight=0.0 if divergence else 1.0,
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=5e-4, weight_decay=0.01),
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, rate),
        lr_interval="step",
    )


def train(method: str, model: Path, student: nn.Module, options: argparse.Namespace) -> dict[str, float]:
    """Train a student in place, from the stored outputs of the teacher."""
    meter = Meter()
    shutil.rmtree(options.output / "logs" / method, ignore_errors=True)
    trainer = trainer_of(
        options.output,
        precision=options.precision,
        max_epochs=VALIDATIONS,
        limit_train_batches=max(1, options.steps // VALIDATIONS),
        limit_val_batches=4,
        gradient_clip_val=1.0,
        callbacks=[meter, *callbacks_of(method, options.output)],
        logger=CSVLogger(options.output / "logs", method, ""),
        log_every_n_steps=1,
    )
    trainer.fit(module_of(method, student, options.steps), datamodule=data_module(model, batch_size=8))
    return meter.result()


def evaluate(method: str, model: Path, student: nn.Module, options: argparse.Namespace) -> dict[str, float]:
    """Measure a student against the live teacher and the references."""
    batch = min(16, options.samples)
    sampling = Sampling(options.new_tokens, temperature=0.0, no_repeat_ngram_size=6)
    folder = str(options.output / "responses" / method)
    trainer = trainer_of(
        options.output,
        precision=options.precision,
        callbacks=[ResponseEvaluation(folder, sampling, [0], max_samples=options.samples)],
        limit_test_batches=options.samples // batch,
    )
    module = LanguageDistillationModule(load_teacher(model), student, ForwardKL())
    trainer.test(module, datamodule=data_module(model, batch_size=batch, test_file=TESTS), verbose=False)
    return {name.removeprefix("test/"): float(value) for name, value in trainer.callback_metrics.items()}
