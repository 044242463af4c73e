"""Metrics of each evaluation, built when the number of classes is known."""

import inspect
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from lightning_abkd.training._labels import IGNORED, target_of

# By name of a list: dtype and shape of a row of the tensors in it.
ListStates = dict[str, tuple[torch.dtype, torch.Size]]

_OF_LABELS = {"target", "labels"}


class StageMetrics:
    """One collection of metrics per stage, updated with named signals; not a module, so that no checkpoint holds it."""

    def __init__(self) -> None:
        self._collections: dict[str, MetricCollection] = {}
        self._counts: dict[str, _Counts] = {}
        self._classes: dict[str, int] = {}
        self._expected: dict[str, list[str]] = {}

    def update(self, stage: str, signals: dict[str, Tensor], build: Callable[[int], MetricCollection]) -> None:
        """Add a batch; each metric takes the signals that the parameters of its `update` name.

        Metrics without their signals do without the batch, such as those that need labels where there are none.
        """
        logits = signals["student_logits"]
        provided = _provided(signals)
        if stage not in self._collections:
            self._start(stage, logits.shape[-1], logits.device, build)
        self._counts[stage].update(provided.get("target"), provided.get("mask"), logits.shape[:-1])
        metrics = self._collections[stage]
        _part(metrics, [name for name, metric in _named(metrics) if _required(metric) <= provided.keys()]).update(
            **provided
        )

    def _start(self, stage: str, classes: int, device: torch.device, build: Callable[[int], MetricCollection]) -> None:
        self._collections[stage] = build(classes).to(device)
        self._counts[stage] = _Counts().to(device)
        self._classes[stage] = classes

    def updated(self, stage: str) -> dict[str, ListStates]:
        """Return the metrics that this process has updated, and what the lists in their states hold."""
        metrics = self._collections.get(stage)
        return (
            {}
            if metrics is None
            else {x: _list_states(metric) for x, metric in _named(metrics) if metric.update_called}
        )

    def expect(
        self,
        stage: str,
        metrics: Mapping[str, ListStates],
        classes: int,
        device: torch.device,
        build: Callable[[int], MetricCollection],
    ) -> None:
        """Take part in metrics that other processes have updated, of that many classes."""
        if stage not in self._collections and classes:
            self._start(stage, classes, device, build)
        self._expected[stage] = list(metrics)
        for name, metric in _named(self._collections[stage]) if stage in self._collections else []:
            if name in metrics and not metric.update_called:
                for state, (dtype, shape) in metrics[name].items():
                    setattr(metric, state, [torch.empty(0, *shape, dtype=dtype, device=device)])

    def compute(self, stage: str) -> dict[str, Tensor]:
        """Compute the metrics over all batches and ranks by their names, and reset them.

        Left out are metrics for which no position counts.
        """
        if stage not in self._collections:
            return {}
        metrics = self._collections[stage]
        positions, labelled = self._counts[stage].compute().tolist()
        called = self._expected.pop(stage, None) or self.updated(stage)
        found = [name for name, metric in _named(metrics) if name in called and (labelled or not _of_labels(metric))]
        values = _part(metrics, found if positions else []).compute()
        metrics.reset()
        self._counts[stage].reset()
        return dict(values)

    def positions(self, stage: str) -> int:
        """Return the number of counted positions of this process so far, of those with a label if there are labels."""
        if stage not in self._counts:
            return 0
        counts = self._counts[stage]
        return int(counts.labelled) or int(counts.positions)

    def classes(self, stage: str) -> int:
        """Return the number of classes, 0 before the first batch."""
        return self._classes.get(stage, 0)


def _provided(signals: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add what metrics of torchmetrics take; leave out a teacher with other classes, who cannot be compared."""
    logits = signals["student_logits"]
    provided = signals | {"preds": logits}
    if "labels" in signals:
        try:
            provided["target"] = target_of(signals)
        except (ValueError, TypeError):
            # Labels of a task of its own, which its own metrics read.
            provided["target"] = signals["labels"]
    if "teacher_logits" in signals and signals["teacher_logits"].shape != logits.shape:
        del provided["teacher_logits"]
    return provided


def _named(metrics: MetricCollection) -> list[tuple[str, Metric]]:
    return list(metrics.items(keep_base=True, copy_state=False))


def _list_states(metric: Metric) -> ListStates:
    """Describe the lists of a metric that are not empty; to be joined over processes, all need one dtype."""
    states = {name: value for name, value in metric.metric_state.items() if isinstance(value, list) and value}
    return {name: (value[0].dtype, value[0].shape[1:]) for name, value in states.items()}


def _part(metrics: MetricCollection, names: Iterable[str]) -> MetricCollection:
    """Return the collection of some of the metrics; without any left out, the collection itself."""
    kept: dict[str, Metric | MetricCollection] = {
        name: metric for name, metric in _named(metrics) if name in set(names)
    }
    if len(kept) == len(metrics):
        return metrics
    return MetricCollection(kept, prefix=metrics.prefix, postfix=metrics.postfix, compute_groups=False)


def _required(metric: Metric) -> set[str]:
    """Return the names of the signals that a metric needs."""
    parameters = inspect.signature(metric.update).parameters.values()
    return {p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}


def _of_labels(metric: Metric) -> bool:
    return bool(_required(metric) & _OF_LABELS)


class _Counts(Metric):
    """Numbers of counted positions and of those with a label."""

    full_state_update = False
    positions: Tensor
    labelled: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("positions", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("labelled", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, target: Tensor | None, mask: Tensor | None, shape: torch.Size) -> None:
        """Add a batch."""
        self.positions = self.positions + (shape.numel() if mask is None else mask.sum())
        if target is not None:
            self.labelled = self.labelled + (target != IGNORED).sum()

    def compute(self) -> Tensor:
        """Return both numbers."""
        return torch.stack([self.positions, self.labelled])
