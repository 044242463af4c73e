"""What evaluations measure: the losses, the metrics, and whether the teacher knows anything."""

from collections.abc import Callable

from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torchmetrics import MetricCollection

from lightning_abkd.training._batches import Signals
from lightning_abkd.training._stage_losses import StageLosses
from lightning_abkd.training._stage_metrics import StageMetrics
from lightning_abkd.training._teacher_check import warn_of_ignorance
from lightning_abkd.training._terms import Terms, term_counts


class Evaluations:
    """Losses and metrics by stage; not a module, so that no checkpoint holds them."""

    def __init__(self) -> None:
        self._losses = StageLosses()
        self._metrics = StageMetrics()
        self._teacher_is_judged = False

    def update(
        self,
        stage: str,
        terms: Terms,
        signals: Signals,
        live: dict[str, Tensor],
        build: Callable[[int], MetricCollection],
    ) -> None:
        """Add a batch.

        Args:
            stage: What is evaluated, such as "val".
            terms: The terms of its loss.
            signals: Its named tensors.
            live: The live numbers of the divergence, for metrics that take them.
            build: Builds the metrics from the number of classes.
        """
        self._losses.update(stage, terms, term_counts(signals, terms))
        self._metrics.update(stage, live | signals, build)

    def compute(self, stage: str, trial: bool) -> dict[str, Tensor]:
        """Compute everything over all batches and processes by logged name, and start afresh.

        Args:
            stage: What was evaluated.
            trial: Whether it was no real evaluation, which says nothing of the teacher and of the data.
        """
        classes = self._metrics.classes(stage)
        positions = self._metrics.positions(stage)
        metrics = self._metrics.compute(stage)
        if metrics and not trial and not self._teacher_is_judged:
            self._teacher_is_judged = True
            warn_of_ignorance(stage, metrics, classes, positions)
        losses = self._losses.compute(stage)
        if losses.keys() == {"loss"} and not trial:
            rank_zero_warn(
                f"No position of {stage} counts, so that `{stage}/loss` is NaN: all labels are -100, or a mask leaves "
                "nothing over. Check the labels of this set, and that prompts are not cut at its longest length."
            )
        values = losses | metrics
        return {f"{stage}/{name}": value for name, value in values.items()}
