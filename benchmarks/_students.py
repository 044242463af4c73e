"""How teacher and students of the comparison on Fashion-MNIST are trained, from logits that are computed once."""

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from torch import Tensor
from torch.optim import SGD
from torch.optim.lr_scheduler import MultiStepLR
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MetricCollection

from _recipes import Budget, Recipe, Size
from _training import quiet_trainer
from lightning_abkd.data import FashionMNISTDataModule
from lightning_abkd.metrics import classification_metrics
from lightning_abkd.models import SmallResNet
from lightning_abkd.modules import DistillationModule

Module = TypeVar("Module", bound=DistillationModule)
BATCH = 64
METRICS = {"accuracy": "accuracy", "agreement": "agreement", "calibration_error": "calibration error"}
# Number of images that are evaluated at once.
BLOCK = 1000


class FromStoredLogits(DistillationModule):
    """Distillation from a teacher's logits that come with the batch."""

    def signals(self, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Take the teacher's logits from the batch."""
        images, labels, teacher_logits = batch
        return {"student_logits": self(images), "labels": labels, "teacher_logits": teacher_logits}

    def metrics(self, classes: int) -> MetricCollection:
        """Measure the agreement with the teacher too."""
        return classification_metrics(classes, teacher=True)


class Order:
    """Batches of positions: all images in a new order every epoch; adding `count` to a position mirrors the image."""

    def __init__(self, count: int, seed: int) -> None:
        self.count = count
        self.batch = min(BATCH, count)
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.count // self.batch

    def __iter__(self) -> Iterator[Tensor]:
        order = torch.randperm(self.count, generator=self.generator)
        mirrored = torch.randint(2, (self.count,), generator=self.generator)
        return iter((order + self.count * mirrored).split(self.batch)[: len(self)])


def read(data: FashionMNISTDataModule) -> tuple[TensorDataset, TensorDataset]:
    """Read images and labels, those of training followed by their mirror images."""
    data.setup("fit")
    data.setup("test")
    images, labels = _whole(data, "train")
    return TensorDataset(torch.cat([images, images.flip(-1)]), labels.repeat(2)), TensorDataset(*_whole(data, "test"))


def _whole(data: FashionMNISTDataModule, split: Literal["train", "test"]) -> tuple[Tensor, Tensor]:
    """Return the images and labels of a split as one batch."""
    samples = data.sets[split]
    images, labels = next(iter(DataLoader(samples, batch_size=len(samples))))
    return images, labels


def network(size: Size) -> SmallResNet:
    """Build a network for grey images of ten classes."""
    return SmallResNet(*size, num_classes=10, in_channels=1)


def module_of(kind: type[Module], size: Size, epochs: int, **options: Any) -> Module:
    """Build a module with its network, its optimizer and the schedule of its rate."""
    milestones = [epochs * eighths // 8 for eighths in (5, 6, 7)]
    return kind(
        student=network(size),
        optimizer=partial(SGD, lr=0.05, momentum=0.9, weight_decay=5e-4),
        lr_scheduler=partial(MultiStepLR, milestones=milestones, gamma=0.1),
        **options,
    )


def fit(module: DistillationModule, data: TensorDataset, seed: int, epochs: int, callbacks: list[Callback]) -> Trainer:
    """Train a module."""
    trainer = quiet_trainer(max_epochs=epochs, devices=1, callbacks=callbacks)
    trainer.fit(module, DataLoader(data, batch_size=None, sampler=Order(len(data) // 2, seed)))
    return trainer


@torch.no_grad()
def logits_of(teacher: DistillationModule, images: Tensor) -> Tensor:
    """Compute the logits of all images."""
    teacher.eval()
    return torch.cat([teacher(block.to(teacher.device)).cpu() for block in images.split(BLOCK)])


def teach(path: Path, budget: Budget, train: TensorDataset, test: TensorDataset) -> tuple[TensorDataset, TensorDataset]:
    """Add the teacher's logits to images and labels, after training it unless an earlier start did."""
    if not path.exists():
        print("teacher …", flush=True)
        seed_everything(0, verbose=False)
        teacher = module_of(DistillationModule, budget.teacher, budget.epochs)
        fit(teacher, train, 0, budget.epochs, [])
        part = path.with_suffix(".part")
        torch.save([logits_of(teacher, data.tensors[0]) for data in (train, test)], part)
        os.replace(part, path)
    of_train, of_test = torch.load(path)
    return TensorDataset(*train.tensors, of_train), TensorDataset(*test.tensors, of_test)


def learn(recipe: Recipe, seed: int, budget: Budget, train: TensorDataset, test: TensorDataset) -> dict[str, float]:
    """Train and test one student."""
    seed_everything(seed, verbose=False)
    module = module_of(
        FromStoredLogits,
        budget.student,
        budget.epochs,
        divergence=recipe.loss() if recipe.loss else None,
        task_weight=recipe.task_weight,
        distillation_weight=recipe.weight,
    )
    steps = budget.epochs * len(Order(len(train) // 2, seed))
    callbacks = [recipe.callback(steps)] if recipe.callback else []
    start = time.perf_counter()
    trainer = fit(module, train, seed, budget.epochs, callbacks)
    seconds = time.perf_counter() - start
    blocks = DataLoader(test, batch_size=None, sampler=torch.arange(len(test)).split(BLOCK))
    (result,) = trainer.test(module, blocks, verbose=False)
    return {metric: result[f"test/{metric}"] for metric in METRICS} | {"seconds": seconds}
