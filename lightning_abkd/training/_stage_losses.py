"""Losses of each evaluation: means over all counted positions, batches and processes."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_abkd.training._terms import Terms


class StageLosses:
    """The mean of each term of the loss over the counted positions of a stage; no checkpoint holds it."""

    def __init__(self) -> None:
        self._means: dict[str, dict[str, _TermMean]] = {}

    def update(self, stage: str, terms: Terms, counts: Mapping[str, int | Tensor]) -> None:
        """Add the terms of a batch, each the mean over its number of positions."""
        means = self._means.setdefault(stage, {})
        for name, (weight, value) in terms.items():
            if name not in means:
                means[name] = _TermMean(value.device)
            means[name].update(value, weight, counts[name])

    def names(self, stage: str) -> dict[str, bool]:
        """Return the terms that this process has seen, and whether they had a weight."""
        return {name: mean.weighted for name, mean in self._means.get(stage, {}).items()}

    def expect(self, stage: str, names: Mapping[str, bool], device: torch.device) -> None:
        """Take part in the means of terms that other processes have seen, with what they know of the weights."""
        means = self._means.setdefault(stage, {})
        # In one order everywhere, in which they are reduced.
        self._means[stage] = {name: means.get(name) or _TermMean(device) for name in names}
        for name, weighted in names.items():
            self._means[stage][name].weighted = weighted

    def compute(self, stage: str) -> dict[str, Tensor]:
        """Compute the means by name and their weighted sum as `loss`, and start afresh.

        Left out are terms without a counted position, and a `loss` of which every weight is 0.
        """
        means = self._means.pop(stage, {})
        found = {name: mean.compute() for name, mean in means.items()}
        found = {name: parts for name, parts in found.items() if parts[2] > 0}
        weighted = [parts[1] for name, parts in found.items() if means[name].weighted]
        loss = {"loss": torch.stack(weighted).sum()} if weighted else {}
        return loss | {name: parts[0] for name, parts in found.items()}


class _TermMean(Metric):
    """Means of a term and of the term times its weight, and the number of positions that they are over."""

    full_state_update = False
    sums: Tensor

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self.add_state("sums", torch.zeros(3, dtype=dtype), dist_reduce_fx="sum")
        self.to(device)
        # Whether the term has had a weight other than the number 0.
        self.weighted = False

    def update(self, value: Tensor, weight: float | Tensor, count: int | Tensor) -> None:
        """Add the mean over some positions; without any it may be NaN."""
        value = value.detach().to(self.sums.dtype)
        parts = torch.stack([value, value * weight, torch.ones_like(value)])
        # torch.full, because copying a number to the device waits for it.
        counts = count.to(parts.dtype) if isinstance(count, Tensor) else torch.full_like(value, count)
        self.sums = self.sums + torch.where(counts > 0, parts * counts, torch.zeros_like(parts))
        self.weighted = self.weighted or isinstance(weight, Tensor) or weight != 0

    def compute(self) -> Tensor:
        """Return both means and the number of positions."""
        count = self.sums[2]
        return torch.cat([self.sums[:2] / count.clamp(min=1), count[None]])
