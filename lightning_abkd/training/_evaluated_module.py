"""What a module needs to be validated and tested: its sets by name, and their losses and metrics."""

from torch import Tensor
from torchmetrics import MetricCollection

from lightning_abkd.losses import DistillationLoss
from lightning_abkd.training._batches import Batch, Signals
from lightning_abkd.training._evaluation_watch import EvaluationWatch
from lightning_abkd.training._evaluations import Evaluations
from lightning_abkd.training._lightning import HostBatches, datamodule_of
from lightning_abkd.training._non_finite_guard import guard_of
from lightning_abkd.training._stage_names import Stage, stage_names
from lightning_abkd.training._terms import Terms, term_counts


class EvaluatedModule(HostBatches):
    """Base class that evaluates any number of sets; a subclass says what signals, losses and metrics are.

    Every logged loss is the mean over the counted positions of the whole set, however they are split into batches and
    processes.
    """

    divergence: DistillationLoss | None

    def __init__(self) -> None:
        super().__init__()
        self._evaluations = Evaluations()
        self._evaluation_watch = EvaluationWatch()

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

    def _evaluate(self, signals: Signals, batch_idx: int, stage: str, batch: Batch = None) -> None:
        """Add a batch to a stage; `batch` is None where its samples are not the rows of the signals."""
        signals = self._with_labels(signals, batch_idx)
        live = {} if self.divergence is None else dict(self.divergence.named_buffers(recurse=False))
        terms = self.losses(signals)
        self._evaluations.update(stage, terms, signals, live, self.metrics)
        guard = guard_of(self.trainer)
        first_bad = "" if guard is None else guard.first_bad_module()
        counts = term_counts(signals, terms)
        self._evaluation_watch.look(self, stage, batch, batch_idx, signals, terms, counts, first_bad)

    def _log_metrics(self, stage: str) -> dict[str, Tensor]:
        self._evaluation_watch.report(stage, trial=bool(self.trainer.sanity_checking))
        values = self._evaluations.compute(stage, trial=bool(self.trainer.sanity_checking))
        # The processes agree already; without `sync_dist` Lightning advises to average over them.
        self.log_dict(values, sync_dist=True)
        return values

    def _log_sets(self, stage: Stage) -> dict[str, Tensor]:
        """Log losses and metrics of each set; those of the first validation set under the name of the stage too."""
        names = self.stage_names(stage)
        values = {name: value for set_name in names for name, value in self._log_metrics(set_name).items()}
        if stage == "val" and names[0] != stage:
            first = {name: value for name, value in values.items() if name.startswith(f"{names[0]}/")}
            self.log_dict({f"val{name.removeprefix(names[0])}": x for name, x in first.items()}, sync_dist=True)
        return values

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Evaluate a batch of a validation set."""
        self._evaluate(self.signals(batch), batch_idx, self.stage_names("val")[dataloader_idx], batch)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Evaluate a batch of a test set."""
        self._evaluate(self.signals(batch), batch_idx, self.stage_names("test")[dataloader_idx], batch)

    def on_validation_epoch_end(self) -> None:
        """Log losses and metrics of the validation sets."""
        self._log_sets("val")

    def on_test_epoch_end(self) -> None:
        """Log losses and metrics of the test sets."""
        self._log_sets("test")
