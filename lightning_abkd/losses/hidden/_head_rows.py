"""Both terms of the loss of hidden states and their gradients, for a few rows at a time."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_abkd.kernels import alpha_beta_cross_entropy_rows, softmax_exponents
from lightning_abkd.losses._base import check_logits
from lightning_abkd.losses._divergence import Divergence
from lightning_abkd.losses.divergences._family import ConstantMember
from lightning_abkd.losses.hidden._head_layout import HeadShards
from lightning_abkd.losses.hidden._output_head import OutputHead

PairedLogits = Callable[[Tensor, slice], tuple[Tensor, Tensor]]
"""Takes the student's logits of some rows and the slice of these rows; returns the student's and the teacher's logits
to compare. Example: see `compare_with_head`."""


class Comparison(NamedTuple):
    """A divergence and what it compares."""

    divergence: Divergence
    compare: PairedLogits


@dataclass(frozen=True)
class HeadTerms:
    """What the loss is made of, see `head_loss`; None leaves a term out.

    The loss is the mean over `count` rows, those of all processes. `shards` says which classes this process holds.
    """

    head: OutputHead
    labels: Tensor | None
    comparison: Comparison | None
    task_weight: float
    distillation_weight: float
    count: int
    shards: HeadShards | None = None

    @property
    def classes_at_once(self) -> int:
        """Number of logits of a row that exist at once, the same on all processes."""
        return len(self.head.weight) if self.shards is None else self.shards.largest


class HeadGradients:
    """Gradients with respect to hidden states, weight and bias, summed over rows; None for those that are not needed.

    Args:
        inputs: Hidden states, weight and bias.
        needed: Which of them need a gradient.
        dtype: Dtype of the sums.
    """

    def __init__(
        self, inputs: tuple[Tensor, Tensor, Tensor | None], needed: tuple[bool, ...], dtype: torch.dtype
    ) -> None:
        self._inputs = inputs
        self._sums = [
            torch.zeros_like(tensor, dtype=dtype) if tensor is not None and wanted else None
            for tensor, wanted in zip(inputs, needed, strict=False)
        ]
        self.needed = any(total is not None for total in self._sums)

    def add(self, head: OutputHead, inputs: Tensor, slope: Tensor, rows: slice) -> None:
        """Add rows of a gradient with respect to h Wᵀ + b; in float32 where float16 would lose small numbers."""
        hidden, weight, bias = self._sums
        dtype = slope.dtype if head.weight.dtype == torch.float16 else head.weight.dtype
        narrow = slope.to(dtype)
        if hidden is not None:
            hidden[rows] = (narrow @ head.weight.to(dtype)).to(hidden.dtype)
        if weight is not None and weight.dtype == dtype:
            weight.addmm_(narrow.T, inputs.to(dtype))
        elif weight is not None:
            weight.add_(narrow.T @ inputs.to(dtype))
        if bias is not None:
            bias.add_(slope.sum(0))

    def means(self, count: int) -> tuple[Tensor | None, ...]:
        """Divide the sums by the number of rows, in place, and return them in the dtypes of the inputs."""
        return tuple(
            None if total is None or tensor is None else total.div_(count).to(tensor.dtype)
            for total, tensor in zip(self._sums, self._inputs, strict=True)
        )


class _KernelRows(NamedTuple):
    """Rows that one kernel can process: a divergence, the student's logits as they are, and the teacher's."""

    divergence: ConstantMember
    student: Tensor
    teacher: Tensor


class HeadRows:
    """Sums of both terms over rows, unweighted, and the gradients of the weighted sum.

    Args:
        terms: What the loss is made of.
        gradients: Where the gradients are added.
        dtype: Dtype of logits and sums, at least float32.
    """

    def __init__(self, terms: HeadTerms, gradients: HeadGradients, dtype: torch.dtype) -> None:
        self.task = terms.head.weight.new_zeros((), dtype=dtype)
        self.divergence = torch.zeros_like(self.task)
        self._terms = terms
        self._gradients = gradients
        self._buffers: Tensor | None = None

    def add(self, inputs: Tensor, rows: slice) -> None:
        """Process some rows of hidden states.

        Args:
            inputs: Shape (n, D), in the dtype of the head.
            rows: Which rows of all they are.
        """
        kernel_rows = self._kernel_rows(inputs, rows)
        if kernel_rows is None:
            self._add_by_terms(inputs, rows)
        else:
            self._add_by_one_kernel(kernel_rows, inputs, rows)

    def _kernel_rows(self, inputs: Tensor, rows: slice) -> _KernelRows | None:
        """Return the rows if one kernel can process them; None if not, or if `compare` changes the student's logits."""
        comparison = self._terms.comparison
        if comparison is None or not isinstance(comparison.divergence, ConstantMember):
            return None
        if not comparison.divergence.backend_for(inputs, inputs).is_one_kernel:
            return None
        logits = self._terms.head.logits(inputs)
        student, teacher = comparison.compare(logits, rows)
        return _KernelRows(comparison.divergence, student, teacher) if student is logits else None

    def _add_by_one_kernel(self, found: _KernelRows, inputs: Tensor, rows: slice) -> None:
        """Compute both terms and, if the logits are not needed any more, overwrite them with the gradient."""
        terms = self._terms
        logits = found.student
        check_logits(logits, found.teacher, None)
        slope = logits
        if terms.head.softcap is not None or logits.dtype == torch.float16:
            # The derivative of the soft-cap needs the logits again; float16 would lose small numbers.
            slope = torch.empty_like(logits, dtype=torch.float32 if logits.dtype == torch.float16 else logits.dtype)
        temperature = found.divergence.temperature
        factor = temperature.square() if found.divergence.scale_by_temperature else 1.0
        alpha, beta = found.divergence.exponents()
        values, task_values = alpha_beta_cross_entropy_rows(
            student_logits=logits,
            teacher_logits=found.teacher,
            gradient=slope,
            alpha=alpha,
            beta=beta,
            temperature=temperature,
            weight=factor * terms.distillation_weight,
            labels=None if terms.labels is None else terms.labels[rows],
            task_weight=terms.task_weight,
        )
        self.divergence += values.sum() * factor
        if task_values is not None:
            self.task += task_values.sum()
        if self._gradients.needed:
            self._gradients.add(terms.head, inputs, terms.head.pull_back(slope, logits), rows)

    def _add_by_terms(self, inputs: Tensor, rows: slice) -> None:
        head = self._terms.head
        shape = (3, rows.stop - rows.start, len(head.weight))
        if self._buffers is None:
            self._buffers = inputs.new_empty(shape, dtype=self.task.dtype)
        buffers = self._buffers[:, : shape[1]]
        logits = head.write(inputs, buffers[0])
        gradient = buffers[1] if self._gradients.needed else None
        self.divergence += self._sum_divergence(logits, rows, gradient)
        self.task += self._sum_cross_entropy(logits, rows, gradient, buffers[2])
        if gradient is not None:
            self._gradients.add(head, inputs, head.pull_back(gradient, logits), rows)

    def _sum_divergence(self, logits: Tensor, rows: slice, gradient: Tensor | None) -> Tensor:
        """Sum the divergence of some rows and write its weighted gradient."""
        comparison = self._terms.comparison
        if comparison is None:
            if gradient is not None:
                gradient.zero_()
            return logits.new_zeros(())
        total = _sum_compared(comparison, logits, rows, gradient)
        if gradient is not None and self._terms.distillation_weight != 1.0:
            gradient.mul_(self._terms.distillation_weight)
        return total

    def _sum_cross_entropy(self, logits: Tensor, rows: slice, gradient: Tensor | None, spare: Tensor) -> Tensor:
        """Sum the cross-entropy of some rows and add its weighted gradient, softmax minus one-hot."""
        weight = self._terms.task_weight
        if self._terms.labels is None:
            return logits.new_zeros(())
        labels = self._terms.labels[rows].unsqueeze(-1)
        exponents = softmax_exponents(logits, out=spare)
        of_labels = exponents.gather(-1, labels)
        powers = exponents.exp2_()
        total = powers.sum(-1, keepdim=True)
        if gradient is not None and weight:
            gradient.addcmul_(powers, total.reciprocal(), value=weight)
            gradient.scatter_add_(-1, labels, torch.full_like(labels, -weight, dtype=gradient.dtype))
        return (total.log() - math.log(2.0) * of_labels).sum()


def _sum_compared(comparison: Comparison, logits: Tensor, rows: slice, gradient: Tensor | None) -> Tensor:
    """Sum the divergence of some rows as `compare` pairs them, and write its gradient with respect to the logits."""
    leaf = logits.detach().requires_grad_()
    with torch.enable_grad():
        student, teacher = comparison.compare(leaf, rows)
    check_logits(student, teacher, None)
    if student is leaf:
        return comparison.divergence.row_values(logits, teacher, gradient).sum()
    slope = None if gradient is None else torch.empty_like(student)
    total = comparison.divergence.row_values(student.detach(), teacher, slope).sum()
    if gradient is not None:
        gradient.copy_(torch.autograd.grad(student, leaf, slope)[0])
    return total
