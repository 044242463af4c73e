"""Metrics of each evaluation, built when the number of classes is known."""

from collections.abc import Callable

from torch import Tensor
from torchmetrics import MetricCollection


class StageMetrics:
    """One collection of metrics per stage, updated with named signals; not a module, so that no checkpoint holds it."""

    def __init__(self) -> None:
        self._collections: dict[str, MetricCollection] = {}

    def update(self, stage: str, signals: dict[str, Tensor], build: Callable[[int], MetricCollection]) -> None:
        """Add a batch; each metric takes the signals that the parameters of its `update` name."""
        logits = signals["student_logits"]
        if stage not in self._collections:
            self._collections[stage] = build(logits.shape[-1]).to(logits.device)
        self._collections[stage].update(preds=logits, target=signals["labels"], **signals)

    def compute(self, stage: str) -> dict[str, Tensor]:
        """Compute the metrics over all batches and ranks by their logged names, and reset them."""
        if stage not in self._collections:
            return {}
        values = self._collections[stage].compute()
        self._collections[stage].reset()
        return {f"{stage}/{name}": value for name, value in values.items()}
