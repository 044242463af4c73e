"""What a module needs to be validated and tested: its sets by name, and their losses and metrics."""

from torch import Tensor
from torchmetrics import MetricCollection

from lightning_abkd.losses import DistillationLoss
from lightning_abkd.training._batches import Batch, Signals
from lightning_abkd.training._evaluations import Evaluations
from lightning_abkd.training._lightning import datamodule_of
from lightning_abkd.training._repeated_rows import Repeated, repeated_row
from lightning_abkd.training._stage_names import Stage, stage_names
from lightning_abkd.training._step_log import log_agreed
from lightning_abkd.training._terms import Terms
from lightning_abkd.training._uneven_sets import UnevenSets


class EvaluatedModule(UnevenSets):
    """Base class that evaluates any number of sets; a subclass says what signals, losses and metrics are.

    Every logged loss is the mean over the counted positions of the whole set, however they are split into batches and
    processes.
    """

    divergence: DistillationLoss | None

    def __init__(self) -> None:
        super().__init__()
        self._evaluations = Evaluations()

    def signals(self, batch: Batch) -> Signals:
        """Turn a batch into named tensors."""
        raise NotImplementedError

    def losses(self, signals: Signals) -> Terms:
        """Compute each term of the loss: its name, its weight and its mean over counted positions."""
        raise NotImplementedError

    def metrics(self, classes: int) -> MetricCollection:
        """Build the metrics of an evaluation from the number of classes."""
        raise NotImplementedError

    def _with_labels(self, signals: Signals, batch_idx: int) -> Signals:
        raise NotImplementedError

    def stage_names(self, stage: Stage) -> list[str]:
        """Name what is logged for each loader: the stage, with the set's name or number if there are several."""
        loaders = self.trainer.num_val_batches if stage == "val" else self.trainer.num_test_batches
        return stage_names(stage, datamodule_of(self), len(loaders))

    def _evaluate(self, signals: Signals, batch_idx: int, stage: str, repeated: Repeated | None = None) -> None:
        """Add a batch to the losses and metrics of a stage, without the row that another process has, too."""
        if repeated is not None and repeated.rows == 1:
            return
        signals = self._with_labels(signals if repeated is None else repeated.without(signals), batch_idx)
        live = {} if self.divergence is None else dict(self.divergence.named_buffers(recurse=False))
        self._evaluations.update(stage, self.losses(signals), signals, live, self.metrics)

    def _log_metrics(self, stage: str) -> dict[str, Tensor]:
        self._evaluations.agree(stage, self.device, self.metrics)
        values = self._evaluations.compute(stage, trial=bool(self.trainer.sanity_checking))
        log_agreed(self, values)
        return values

    def _log_sets(self, stage: Stage) -> dict[str, Tensor]:
        """Log losses and metrics of each set; those of the first validation set under the name of the stage too."""
        names = self.stage_names(stage)
        values = {name: value for set_name in names for name, value in self._log_metrics(set_name).items()}
        if stage == "val" and names[0] != stage:
            first = {name: value for name, value in values.items() if name.startswith(f"{names[0]}/")}
            log_agreed(self, {f"val{name.removeprefix(names[0])}": x for name, x in first.items()})
        return values

    def _evaluate_batch(self, batch: Batch, batch_idx: int, dataloader_idx: int, stage: Stage) -> None:
        repeated = repeated_row(self.trainer, batch_idx, dataloader_idx)
        self._evaluate(self.signals(batch), batch_idx, self.stage_names(stage)[dataloader_idx], repeated)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Evaluate a batch of a validation set."""
        self._evaluate_batch(batch, batch_idx, dataloader_idx, "val")

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Evaluate a batch of a test set."""
        self._evaluate_batch(batch, batch_idx, dataloader_idx, "test")

    def on_validation_epoch_end(self) -> None:
        """Log losses and metrics of the validation sets."""
        self._log_sets("val")

    def on_test_epoch_end(self) -> None:
        """Log losses and metrics of the test sets."""
        self._log_sets("test")
