"""Distillation that is measured on classes it was not trained on."""

from typing import Literal

import torch
from torch import Tensor

from lightning_abkd.training import DistillationModule, Signals, log_agreed, repeated_row
from lightning_abkd.vision.data import BaseToNewDataModule
from lightning_abkd.vision.data._base_to_new import Part
from lightning_abkd.vision.data._labels import UNLABELLED

_HALVES: tuple[Literal["base"], Literal["new"]] = ("base", "new")


class BaseToNewModule(DistillationModule):
    """Trains on the base classes and tests on base and new classes, each half with the outputs of its own classes.

    Zhou et al. 2022 (CoCoOp), arXiv 2203.05557. Networks have an output for every class of `BaseToNewDataModule`.
    Losses and metrics see only the outputs of the classes that compete in the current split. The test logs
    `test/base/…`, `test/new/…` and `test/harmonic_mean`, the harmonic mean of the two accuracies. From unlabelled
    images (`transductive`) the student learns by the divergence alone. Arguments are those of `DistillationModule`.

    Example:
        >>> from lightning_abkd.losses import AlphaBetaDivergence
        >>> teacher = torch.nn.Linear(4, 6)
        >>> student = torch.nn.Linear(4, 6)
        >>> BaseToNewModule(teacher, student, AlphaBetaDivergence(0.8, 0.3), task_weight=0.0).task_weight
        0.0
    """

    def setup(self, stage: str) -> None:
        """Check the data module and the weights; put the student into train mode and compile it if asked to.

        Raises:
            TypeError: If the data module is not a `BaseToNewDataModule`.
            ValueError: If the task loss has a weight but the training images have no labels.
        """
        super().setup(stage)
        if self._data().transductive and stage == "fit" and self.task_weight:
            raise ValueError(
                "Parameter `task_weight` should be 0 for `transductive` data, whose training images have no labels. "
                f"Found `task_weight = {self.task_weight}`."
            )

    def _data(self) -> BaseToNewDataModule:
        data = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, BaseToNewDataModule):
            raise TypeError(
                "BaseToNewModule should have a BaseToNewDataModule, which knows base from new classes. "
                f"Found {type(data).__name__}. For other data, use DistillationModule."
            )
        return data

    def signals(self, batch: tuple[Tensor, Tensor]) -> Signals:
        """Compute the named tensors of a batch; in training, those of the classes that are trained on.

        Returns:
            The signals of `DistillationModule`, without labels where the images have none.
        """
        signals = super().signals(batch)
        if not self.training:
            return signals
        signals = self._keep_classes("train", signals)
        if self._data().transductive:
            del signals["labels"]
        return signals

    def _keep_classes(self, part: Part, signals: Signals) -> Signals:
        """Keep the outputs and labels of the classes that compete in a part of the data."""
        data = self._data()
        classes = data.classes(part)
        logits = {name: value for name, value in signals.items() if "_logits" in name}
        for name, value in logits.items():
            if value.shape[-1] != data.num_classes:
                raise ValueError(
                    f"Networks should have an output for each of the {data.num_classes} classes of {data.source}. "
                    f"Found {value.shape[-1]} in `{name}`. Pass them the `class_names` of this data set."
                )
        kept = {name: value[:, classes.start : classes.stop] for name, value in logits.items()}
        return signals | kept | {"labels": _labels_among(classes, signals["labels"], data.num_classes)}

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Evaluate a batch of the validation set."""
        repeated = repeated_row(self.trainer, batch_idx, dataloader_idx)
        self._evaluate(self._keep_classes("validation", self.signals(batch)), batch_idx, "val", repeated)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Evaluate a batch of the test set of the base classes or of the new ones."""
        half = _HALVES[dataloader_idx]
        repeated = repeated_row(self.trainer, batch_idx, dataloader_idx)
        self._evaluate(self._keep_classes(half, self.signals(batch)), batch_idx, f"test/{half}", repeated)

    def on_test_epoch_end(self) -> None:
        """Log the test metrics of each half and the harmonic mean of the two accuracies."""
        base = self._log_metrics("test/base")["test/base/accuracy"]
        new = self._log_metrics("test/new")["test/new/accuracy"]
        # Two accuracies of 0 have a mean of 0, not 0 / 0.
        mean = 2 * base * new / (base + new).clamp(min=torch.finfo(base.dtype).tiny)
        log_agreed(self, {"test/harmonic_mean": mean})


def _labels_among(classes: range, labels: Tensor, num_classes: int) -> Tensor:
    """Number labels (B,) from the first of some classes, or keep the probabilities (B, C) of these classes."""
    if labels.dim() == 2 and labels.shape[1] == num_classes:
        return labels[:, classes.start : classes.stop]
    whole = labels.to(torch.int64)
    return torch.where(whole == UNLABELLED, whole, whole - classes.start)
