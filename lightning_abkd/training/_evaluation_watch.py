"""Batches of an evaluation whose losses are NaN or infinite, which no step stops at."""

import warnings
from collections.abc import Mapping
from functools import partial

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

import lightning_abkd.training._checks as checks
from lightning_abkd.training._batches import Batch, Signals
from lightning_abkd.training._evidence import Look, largest
from lightning_abkd.training._non_finite_report import of_evaluation
from lightning_abkd.training._terms import Terms, weighted_sum


class EvaluationWatch:
    """Finds the first batch of a stage whose loss is not finite, and warns of it at the end of the stage."""

    def __init__(self) -> None:
        self._first: dict[str, Tensor] = {}
        self._said: dict[str, str] = {}

    def look(
        self,
        module: LightningModule,
        stage: str,
        batch: Batch,
        batch_idx: int,
        signals: Signals,
        terms: Terms,
        counts: Mapping[str, int | Tensor],
        module_name: str,
    ) -> None:
        """Look at a batch: at once on a CPU and in every 50th batch on a GPU, else without waiting for it.

        Args:
            module: The module that is evaluated.
            stage: What is evaluated, such as "val".
            batch: The batch, or None where its samples are not the rows of the signals.
            batch_idx: Its position.
            signals: Its named tensors.
            terms: The terms of its loss.
            counts: How many positions each term is the mean of.
            module_name: The first bad module, if modules are watched.
        """
        if not terms:
            return
        device = signals["student_logits"].device
        wrong = torch.stack([_is_wrong(value, counts[name], device) for name, (_, value) in terms.items()]).any()
        first = self._first.get(stage, torch.full((), -1, device=device))
        self._first[stage] = torch.where((first < 0) & wrong, batch_idx, first)
        if stage not in self._said and checks.is_watched(device, batch_idx) and bool(wrong):
            losses = {"loss": weighted_sum(terms)} | {name: value for name, (_, value) in terms.items()}
            look = Look(batch, batch_idx, {name: x.detach() for name, x in losses.items()}, partial(largest, signals))
            look.module = module_name
            self._said[stage] = of_evaluation(module, stage, look)

    def report(self, stage: str, trial: bool) -> None:
        """Warn of the first batch of a stage whose loss is not finite, in the process that saw it, and start afresh.

        A trial before training says nothing: the first step or the first validation will.
        """
        first = int(self._first.pop(stage, torch.tensor(-1)))
        said = self._said.pop(stage, f"The loss of batch {first} of {stage} is NaN or inf.")
        if first >= 0 and not trial:
            warnings.warn(f"{said} `{stage}/loss` is no finite number either.", stacklevel=2)


def _is_wrong(value: Tensor, count: int | Tensor, device: torch.device) -> Tensor:
    counts = count > 0 if isinstance(count, Tensor) else torch.full((), count > 0, device=device)
    return ~value.detach().isfinite().all() & counts.to(device)
