"""The counted tokens of a batch as hidden states, so that the logits of all tokens are never materialised."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from lightning_abkd.language._batches import TokenBatch, backbone_inputs, counted_positions, rows_at
from lightning_abkd.language.teachers import SeparateHead, TokenTeacher
from lightning_abkd.losses import (
    DistillationLoss,
    Divergence,
    HeadLossTerms,
    OutputHead,
    PairedLogits,
    head_loss,
    split_rows,
)

# Enough to compare two gradients, and cheap.
_ROWS_OF_NORMS = 64


@dataclass
class TokenRows:
    """The N counted tokens of a batch.

    Args:
        hidden: Last hidden states of the student, shape (N, D).
        head: The student's output layer with V rows.
        labels: The tokens that follow, shape (N,).
        positions: Positions of the tokens in the flattened batch, shape (N,).
        compare: Function that pairs the student's logits of some rows with the teacher's; None without a teacher.
        states: Last hidden states by network, to find out where a NaN came from.
    """

    hidden: Tensor
    head: OutputHead
    labels: Tensor
    positions: Tensor
    compare: PairedLogits | None = None
    states: dict[str, Tensor] = field(default_factory=dict)

    def loss(
        self, divergence: DistillationLoss | None, task_weight: float, distillation_weight: float
    ) -> HeadLossTerms:
        """Compute the loss and its terms.

        The cross-entropy is left out where it has no weight, unless it is the only term.
        """
        compared = None if self.compare is None else rowwise_divergence(divergence)
        labels = self.labels if compared is None or task_weight else None
        return head_loss(self.hidden, self.head, labels, self.compare, compared, task_weight, distillation_weight)

    def gradient_norms(
        self, divergence: DistillationLoss | None, task_weight: float, distillation_weight: float
    ) -> dict[str, float]:
        """Compute the norm of each term's weighted gradient with respect to the first hidden states.

        Hidden states stand in for logits, whose gradients are never kept. Nothing that is learnt sees these gradients.
        """
        compared = rowwise_divergence(divergence)
        if compared is None or self.compare is None:
            return {}
        hidden = self.hidden[:_ROWS_OF_NORMS].detach().requires_grad_()
        bias = None if self.head.bias is None else self.head.bias.detach()
        head = replace(self.head, weight=self.head.weight.detach(), bias=bias)
        labels = self.labels[:_ROWS_OF_NORMS] if task_weight else None
        # A copy in eval mode, because a divergence may change with each loss that it sees in training.
        compared = copy.deepcopy(compared).eval()
        losses = {"divergence": head_loss(hidden, head, None, self.compare, compared, 0.0, distillation_weight).loss}
        if labels is not None:
            losses["task_loss"] = head_loss(hidden, head, labels, task_weight=task_weight).loss
        return {name: float(torch.autograd.grad(loss, hidden)[0].float().norm()) for name, loss in losses.items()}

    def signals(self) -> Iterator[dict[str, Tensor]]:
        """Yield the signals of an evaluation for a few tokens at a time, each as one row (1, n, …).

        Without any token that is one part with no row, so that every process knows which values are logged.
        """
        parts = split_rows(len(self.hidden), len(self.head.weight), self.hidden.device.type)
        for rows in parts or [slice(0, 0)]:
            logits = self.head.logits(self.hidden[rows]).to(torch.promote_types(self.hidden.dtype, torch.float32))
            signals = {"student_logits": logits, "labels": self.labels[rows]}
            if self.compare is not None:
                signals["teacher_logits"] = self.compare(logits, rows)[1]
            yield {name: value.unsqueeze(0) for name, value in signals.items()}

    @torch.no_grad()
    def largest(self, shape: torch.Size) -> dict[str, Tensor]:
        """Compute the largest entry of each token's logits, or of its hidden states where those are not finite.

        Args:
            shape: Shape (B, T) of the batch.

        Returns:
            Values (B, T) by the names of the logits, 0 where a token does not count.
        """
        found = {name: hidden.amax(-1) for name, hidden in self.states.items()}
        if all(bool(x.isfinite().all()) for x in found.values()):
            found = self._largest_logits()
        empty = {name: x.new_zeros(shape.numel()) for name, x in found.items()}
        return {name: empty[name].index_copy(0, self.positions, x).view(shape) for name, x in found.items()}

    def _largest_logits(self) -> dict[str, Tensor]:
        parts = list(self.signals())
        names = [name for name in parts[0] if name.endswith("_logits")]
        return {name: torch.cat([part[name][0].amax(-1) for part in parts]) for name in names}


def token_rows(
    batch: TokenBatch, student: SeparateHead, teacher: TokenTeacher | None, vocabulary: int | None
) -> TokenRows:
    """Run the backbones of both networks on a batch and pick the counted tokens.

    Args:
        batch: input_ids, labels (B, T), whatever else the networks take and, where known, the counted positions (N,).
        student: The student, taken apart.
        teacher: The live or stored teacher, or None.
        vocabulary: Number of ids to keep, or None for all.

    Raises:
        ValueError: If the number of stored tokens is not that of the batch.
    """
    counted = batch["counted"] if "counted" in batch else counted_positions(batch["labels"])
    # The teacher runs first, so that its activations are gone when the student keeps its own.
    answer = None if teacher is None else teacher.answer(batch, counted, vocabulary)
    hidden = rows_at(student.hidden(**backbone_inputs(batch)), counted)
    labels = rows_at(batch["labels"], counted + 1).long()
    rows = TokenRows(hidden, student.head(vocabulary), labels, counted)
    if answer is not None:
        rows.compare = answer.compare
        if answer.hidden is not None:
            rows.states["teacher_logits"] = answer.hidden
    rows.states["student_logits"] = hidden
    return rows


def rowwise_divergence(loss: DistillationLoss | None) -> Divergence | None:
    """Return a loss that is the mean of one value per token, or None for none.

    Raises:
        ValueError: If it is another loss.
    """
    if loss is None or (isinstance(loss, Divergence) and loss.is_rowwise_mean):
        return loss
    raise ValueError(f"{type(loss).__name__} is not a plain mean over tokens")
