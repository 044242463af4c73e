"""The counted tokens of a batch as hidden states, so that logits of all of them never exist."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lightning_abkd.functional import top_k_buckets
from lightning_abkd.language.data import IGNORE_INDEX
from lightning_abkd.language.teachers import LanguageTeacher, SeparateHead, TeacherCache
from lightning_abkd.losses import (
    DistillationLoss,
    HeadLossTerms,
    OutputHead,
    PairedLogits,
    compare_with_head,
    head_loss,
    split_rows,
)
from lightning_abkd.training import call

# What a batch holds for the module, not for a network.
_OWN = ("labels", "index", "counted")


def network_inputs(batch: Mapping[str, Tensor], network: object) -> dict[str, Tensor | bool]:
    """Leave out what is not for a network; no cache of keys and values, which would mix up packed samples."""
    inputs: dict[str, Tensor | bool] = {**_inputs(batch)}
    return inputs | ({"use_cache": False} if hasattr(getattr(network, "config", None), "use_cache") else {})


def counted_positions(labels: Tensor) -> Tensor:
    """Find the tokens whose next one counts: their places in the flattened batch (B · T), shape (N,).

    How many they are is not known on a device before it is asked, which waits for all that it has still to do.
    """
    counted = labels != IGNORE_INDEX
    counted[:, :1] = False
    return counted.flatten().nonzero().squeeze(1) - 1


def with_counted(batch: object) -> object:
    """Add the counted positions to a batch whose labels are still on the processor; give any other back as it is."""
    labels = batch.get("labels") if isinstance(batch, Mapping) else None
    if labels is None or labels.device.type != "cpu":
        return batch
    return {**batch, "counted": counted_positions(labels)}  # type: ignore[dict-item]


@dataclass
class TeacherFromCache:
    """A teacher of which only the stored outputs are left."""

    cache: TeacherCache
    _head: OutputHead | None = None

    def comparison(self, index: Tensor, count: int) -> PairedLogits:
        """Compare with stored outputs: exact logits of stored hidden states, or buckets of the most probable ids.

        Args:
            index: Positions of the batch's samples in the data, shape (B,).
            count: Counted tokens of the batch.

        Raises:
            ValueError: If another number of tokens is stored for these samples.
        """
        stored = int(self.cache.token_counts[index.cpu()].sum())
        if stored != count:
            raise ValueError(
                f"The cache {self.cache.folder} should hold the tokens of the batch. Found {stored} stored tokens and "
                f"{count} counted ones. Write the cache again with the same data."
            )
        if self.cache.kind == "hidden":
            if self._head is None:
                self._head = self.cache.head().to(index.device)
            return compare_with_head(self.cache.hidden(index).to(index.device), self._head)
        ids, log_p = (tensor.to(index.device) for tensor in self.cache.top_k(index))

        def compare(student_logits: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
            return top_k_buckets(student_logits, ids[rows]), log_p[rows].to(student_logits.dtype)

        return compare


@dataclass
class TokenRows:
    """The N counted tokens of a batch.

    Args:
        hidden: Last hidden states of the student, shape (N, D).
        head: The student's output layer, V rows.
        labels: The tokens that follow, shape (N,).
        compare: What the divergence compares, or None without a teacher.
        states: Last hidden states by network, to find out where a NaN came from.
    """

    hidden: Tensor
    head: OutputHead
    labels: Tensor
    compare: PairedLogits | None = None
    states: dict[str, Tensor] = field(default_factory=dict)

    def loss(
        self, divergence: DistillationLoss | None, task_weight: float, distillation_weight: float
    ) -> HeadLossTerms:
        """Compute the loss and its terms; no cross-entropy where it has no weight, unless it is all there is."""
        divergence = None if self.compare is None else divergence
        labels = self.labels if divergence is None or task_weight else None
        weights = task_weight, distillation_weight
        return head_loss(self.hidden, self.head, labels, self.compare, divergence, *weights)  # type: ignore[arg-type]

    def signals(self) -> Iterator[dict[str, Tensor]]:
        """Give the signals of an evaluation a few tokens at a time, as one row of them, shape (1, n, …)."""
        for rows in split_rows(len(self.hidden), len(self.head.weight), self.hidden.device.type):
            logits = self.head.logits(self.hidden[rows]).to(torch.promote_types(self.hidden.dtype, torch.float32))
            signals = {"student_logits": logits, "labels": self.labels[rows]}
            if self.compare is not None:
                signals["teacher_logits"] = self.compare(logits, rows)[1]
            yield {name: value.unsqueeze(0) for name, value in signals.items()}


def token_rows(
    batch: Mapping[str, Tensor],
    student: SeparateHead,
    teacher: LanguageTeacher | None,
    stored: TeacherFromCache | None,
    vocabulary: int | None,
) -> TokenRows:
    """Run the backbones of both networks on a batch and pick the counted tokens.

    Args:
        batch: input_ids, labels (B, T), whatever else the networks take and, where known, the counted positions (N,).
        student: The student, taken apart.
        teacher: The teacher, taken apart too; or None.
        stored: Stored outputs of a teacher, looked up by the batch's index; goes before `teacher`.
        vocabulary: Number of ids to keep, or None for all.

    Raises:
        ValueError: If another number of tokens is stored than the batch has.
    """
    counted = batch["counted"] if "counted" in batch else counted_positions(batch["labels"])
    states, compare = {}, None
    if stored is not None:
        compare = stored.comparison(batch["index"], len(counted))
    elif teacher is not None and teacher.separate is not None:
        # Before the student, so that its activations are gone when the student keeps its own.
        states["teacher_logits"] = _rows(teacher(_inputs(batch), teacher.separate.hidden), counted)
        compare = compare_with_head(states["teacher_logits"], _teacher_head(teacher, teacher.separate, vocabulary))
    states["student_logits"] = _rows(call(student.hidden, _inputs(batch)), counted)
    head = student.head() if vocabulary is None else student.head().cut(vocabulary)
    return TokenRows(states["student_logits"], head, _rows(batch["labels"], counted + 1), compare, states)


def _rows(tokens: object, positions: Tensor) -> Tensor:
    return tokens.flatten(0, 1).index_select(0, positions)  # type: ignore[attr-defined, no-any-return]


def _inputs(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in batch.items() if name not in _OWN}


def _teacher_head(teacher: LanguageTeacher, parts: SeparateHead, vocabulary: int | None) -> OutputHead:
    head = parts.head() if vocabulary is None else parts.head().cut(vocabulary)
    device = head.weight.device.type
    if teacher.own_precision or not torch.is_autocast_enabled(device):
        return head
    return head.to(torch.get_autocast_dtype(device))
