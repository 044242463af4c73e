"""What evaluations measure: the losses, the metrics, and whether the teacher knows anything."""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import MetricCollection

from lightning_abkd.distributed import gather_objects
from lightning_abkd.training._batches import Signals
from lightning_abkd.training._stage_losses import StageLosses
from lightning_abkd.training._stage_metrics import ListStates, StageMetrics
from lightning_abkd.training._teacher_check import warn_of_ignorance
from lightning_abkd.training._terms import Terms, term_counts


class _Seen(NamedTuple):
    """What one process has seen: terms and whether they had a weight, metrics, and the number of classes."""

    terms: dict[str, bool]
    metrics: dict[str, ListStates]
    classes: int


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

    def agree(self, stage: str, device: torch.device, build: Callable[[int], MetricCollection]) -> None:
        """Let all processes compute the same losses and metrics, whatever batches each of them has seen.

        Args:
            stage: What was evaluated.
            device: Device of a process that has seen no batch.
            build: Builds the metrics from the number of classes.
        """
        own = _Seen(self._losses.names(stage), self._metrics.updated(stage), self._metrics.classes(stage))
        seen = gather_objects(own)
        terms: dict[str, bool] = {}
        for one in seen:
            terms |= {name: weighted or terms.get(name, False) for name, weighted in one.terms.items()}
        self._losses.expect(stage, terms, device)
        metrics = dict(item for one in seen for item in one.metrics.items())
        self._metrics.expect(stage, metrics, max(one.classes for one in seen), device, build)

    def compute(self, stage: str, trial: bool) -> dict[str, Tensor]:
        """Compute everything over all batches and processes by logged name, and start afresh.

        Args:
            stage: What was evaluated.
            trial: Whether it was no real evaluation, which says nothing of the teacher.
        """
        with warnings.catch_warnings():
            # A process may have seen no batch.
            warnings.filterwarnings("ignore", ".*was called before the ``update`` method")
            return self._compute(stage, trial)

    def _compute(self, stage: str, trial: bool) -> dict[str, Tensor]:
        classes = self._metrics.classes(stage)
        positions = self._metrics.positions(stage)
        metrics = self._metrics.compute(stage)
        if metrics and not trial and not self._teacher_is_judged:
            self._teacher_is_judged = True
            warn_of_ignorance(stage, metrics, classes, positions)
        values = self._losses.compute(stage) | metrics
        return {f"{stage}/{name}": value for name, value in values.items()}
