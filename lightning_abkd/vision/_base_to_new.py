"""Distillation that is measured on classes it was not trained on."""

from typing import Literal, get_args

import torch
from torch import Tensor

from lightning_abkd.training import DistillationModule, Signals
from lightning_abkd.vision.data import BaseToNewDataModule

_Half = Literal["base", "new"]


class BaseToNewModule(DistillationModule):
    """Trains on the base classes, and is tested on base and new ones, each half among its own classes.

    Zhou et al. 2022 (CoCoOp), arXiv 2203.05557. Networks have an output for every class of `BaseToNewDataModule`; of
    these, losses and metrics get those that the data module says the images are told apart among. The test logs
    `test/base/…`, `test/new/…` and `test/harmonic_mean`, that of the two accuracies. From unlabelled images
    (`transductive`) the student learns by the divergence alone. Arguments are those of `DistillationModule`.
    """

    def setup(self, stage: str) -> None:
        """Check that data and weights fit; put the student into train mode and compile it if asked to.

        Raises:
            TypeError: If the data module is not a `BaseToNewDataModule`.
            ValueError: If the task loss has a weight but the training images no labels.
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
                f"Found {type(data).__name__}. Without one, use DistillationModule."
            )
        return data

    def signals(self, batch: tuple[Tensor, Tensor]) -> Signals:
        """Turn a batch into named tensors, in training those of the classes that are trained on.

        Returns:
            What `DistillationModule` gives, without labels where the images have none.
        """
        signals = super().signals(batch)
        if not self.training:
            return signals
        signals = self._among("train", signals)
        if self._data().transductive:
            del signals["labels"]
        return signals

    def _among(self, part: Literal["train", "validation", "base", "new"], signals: Signals) -> Signals:
        """Keep to the outputs and labels of the classes of a part."""
        data, classes = self._data(), self._data().classes(part)
        found = signals["student_logits"].shape[-1]
        if found != data.num_classes:
            raise ValueError(
                f"Networks should have an output for each of the {data.num_classes} classes of {data.source}. "
                f"Found {found}. Give them the `class_names` of this data set."
            )
        kept = {x: signals[x][:, classes.start : classes.stop] for x in signals if "_logits" in x}
        return signals | kept | {"labels": signals["labels"] - classes.start}

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Evaluate a batch of the validation set."""
        self._evaluate(self._among("validation", self.signals(batch)), batch_idx, "val")

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Evaluate a batch of the base classes' test set or of the new ones'."""
        half: _Half = get_args(_Half)[dataloader_idx]
        self._evaluate(self._among(half, self.signals(batch)), batch_idx, f"test/{half}")

    def on_test_epoch_end(self) -> None:
        """Log the test metrics of each half, and the harmonic mean of the accuracies."""
        base, new = (self._log_metrics(f"test/{half}")[f"test/{half}/accuracy"] for half in get_args(_Half))
        # 0 of 0 + 0 is 0
        mean = 2 * base * new / (base + new).clamp(min=torch.finfo(base.dtype).tiny)
        self.log("test/harmonic_mean", mean, prog_bar=True)
