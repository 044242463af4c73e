"""The loss of last hidden states: logits exist for a few tokens at a time, never in full."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_abkd.kernels import alpha_beta_cross_entropy_rows, softmax_exponents
from lightning_abkd.losses._base import check_logits
from lightning_abkd.losses._divergence import Divergence
from lightning_abkd.losses.divergences._family import FamilyMember
from lightning_abkd.losses.hidden._output_head import OutputHead

# Elements of the logits that exist at once; matrix products want more rows than the divergence's own chunks.
_CHUNK_ELEMENTS = {"cpu": 1 << 23}
_DEFAULT_CHUNK_ELEMENTS = 1 << 26

PairedLogits = Callable[[Tensor, slice], tuple[Tensor, Tensor]]


class HeadLossTerms(NamedTuple):
    """What `head_loss` gives: the weighted sum, which has a gradient, and its terms, which have none."""

    loss: Tensor
    task_loss: Tensor | None
    divergence: Tensor | None


def split_rows(rows: int, classes: int, device: str) -> list[slice]:
    """Split rows so that the logits of a part stay small."""
    size = max(1, _CHUNK_ELEMENTS.get(device, _DEFAULT_CHUNK_ELEMENTS) // max(classes, 1))
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def compare_with_head(hidden: Tensor, head: OutputHead) -> PairedLogits:
    """Compare with a teacher's hidden states (N, D), whose logits are computed for the rows at hand."""
    buffer: list[Tensor] = []

    def compare(student_logits: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        if not buffer or len(buffer[0]) != len(student_logits):
            buffer[:] = [student_logits.new_empty(len(student_logits), len(head.weight))]
        return student_logits, head.write(hidden[rows].to(head.weight.dtype), buffer[0])

    return compare


@dataclass
class _Job:
    head: OutputHead
    labels: Tensor | None
    compare: PairedLogits | None
    divergence: Divergence | None
    task_weight: float
    distillation_weight: float


def head_loss(
    hidden: Tensor,
    head: OutputHead,
    labels: Tensor | None = None,
    compare: PairedLogits | None = None,
    divergence: Divergence | None = None,
    task_weight: float = 1.0,
    distillation_weight: float = 1.0,
) -> HeadLossTerms:
    """Compute task_weight · cross-entropy + distillation_weight · divergence from hidden states, in chunks of tokens.

    The numbers are those of the logits to float32 rounding; value and gradient come from one pass, which keeps the
    gradients by hidden states and head and nothing of the logits' size. The head runs in autocast's dtype, if any.

    Args:
        hidden: Last hidden states of the student at the counted positions, shape (N, D).
        head: The student's output layer, with V rows.
        labels: Next tokens (N,); None leaves the task loss out.
        compare: What the divergence compares, given the student's logits of some rows; see `compare_with_head`.
        divergence: A divergence that is a mean over positions (`Divergence.of_rows`); None leaves it out.
        task_weight: Weight of the cross-entropy.
        distillation_weight: Weight of the divergence.

    Returns:
        The loss, and its two terms for logging. Without a position all are zero, the loss connected.

    Raises:
        ValueError: If the divergence is no mean over positions, or comes without `compare`, or the teacher has
            another number of classes.

    Example:
        >>> from lightning_abkd.losses import ForwardKL
        >>> hidden, head = torch.ones(2, 3), OutputHead(torch.eye(4, 3))
        >>> round(head_loss(hidden, head, torch.tensor([0, 1])).loss.item(), 4)
        1.2143
        >>> head_loss(hidden, head, None, compare_with_head(hidden, head), ForwardKL()).loss.item()
        0.0
    """
    if divergence is not None and (not divergence.of_rows or compare is None):
        raise ValueError(
            f"The loss of hidden states needs a divergence that is a mean over positions, and `compare`. "
            f"Found {type(divergence).__name__} and `compare = {compare}`. Compute the logits instead."
        )
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else head.weight.dtype
    job = _Job(head, labels, compare, divergence, task_weight, distillation_weight)
    loss, task, distance = _HeadLoss.apply(hidden, head.weight, head.bias, dtype, job)
    if divergence is not None and divergence.training:
        divergence.observe(distance)
    return HeadLossTerms(loss, None if labels is None else task, None if divergence is None else distance)


class _Context(Protocol):
    needs_input_grad: tuple[bool, ...]
    gradients: tuple[Tensor | None, ...] | None

    def mark_non_differentiable(self, *tensors: Tensor) -> None: ...


class _HeadLoss(torch.autograd.Function):
    """The loss and its gradients in one pass; a second backward pass is refused."""

    @staticmethod
    def forward(
        ctx: _Context, hidden: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype, job: _Job
    ) -> tuple[Tensor, Tensor, Tensor]:
        job = replace(job, head=replace(job.head, weight=weight, bias=bias).to(dtype))
        inputs, wide = (hidden, weight, bias), torch.promote_types(dtype, torch.float32)
        gradients = [
            torch.zeros_like(tensor, dtype=wide) if tensor is not None and needed else None
            for tensor, needed in zip(inputs, ctx.needs_input_grad, strict=False)
        ]
        with torch.autocast(hidden.device.type, enabled=False):
            task, distance = _run(job, hidden, wide, gradients)
        ctx.gradients = tuple(
            None if x is None or y is None else x.div_(max(len(hidden), 1)).to(y.dtype)
            for x, y in zip(gradients, inputs, strict=True)
        )
        ctx.mark_non_differentiable(task, distance)
        return job.task_weight * task + job.distillation_weight * distance, task, distance

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, upstream: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError("The loss of hidden states keeps its gradient for one backward pass. Found a second.")
        gradients, ctx.gradients = ctx.gradients, None
        return *(None if gradient is None else gradient.mul_(upstream) for gradient in gradients), None, None


def _run(job: _Job, hidden: Tensor, wide: torch.dtype, gradients: list[Tensor | None]) -> tuple[Tensor, Tensor]:
    """Work off the tokens; give both means and add to the gradients of hidden states, weight and bias."""
    classes = len(job.head.weight)
    sums = torch.zeros(2, dtype=wide, device=hidden.device)
    with_gradient = any(gradient is not None for gradient in gradients)
    buffers: Tensor | None = None
    for rows in split_rows(len(hidden), classes, hidden.device.type):
        inputs = hidden[rows].to(job.head.weight.dtype)
        if _run_in_one_kernel(job, inputs, rows, sums, gradients):
            continue
        count = rows.stop - rows.start
        if buffers is None:
            buffers = hidden.new_empty((3, count, classes), dtype=wide)
        logits, slope, spare = buffers[:, :count].unbind()
        gradient = slope if with_gradient else None
        job.head.write(inputs, logits)
        sums[1] += _distance(job, logits, rows, gradient)
        sums[0] += _cross_entropy(job, logits, rows, gradient, spare)
        if with_gradient:
            _spread(job.head, inputs, job.head.pull_back(slope, logits), rows, gradients)
    task, distance = (sums / max(len(hidden), 1)).unbind()
    return task.clone(), distance.clone()


def _run_in_one_kernel(job: _Job, inputs: Tensor, rows: slice, sums: Tensor, gradients: list[Tensor | None]) -> bool:
    """Work off some tokens where one kernel does both terms, over the logits' own memory; tell whether it did."""
    head, divergence = job.head, job.divergence
    if job.compare is None or not isinstance(divergence, FamilyMember) or divergence.chosen(inputs, inputs) != "triton":
        return False
    logits = head.logits(inputs)
    student, teacher = job.compare(logits, rows)
    if student is not logits:
        return False
    check_logits(student, teacher, None)
    slope = logits
    if head.softcap is not None or logits.dtype == torch.float16:
        # The soft-cap's derivative asks for the logits again; float16 would lose small numbers.
        slope = torch.empty_like(logits, dtype=torch.float32 if logits.dtype == torch.float16 else logits.dtype)
    factor = divergence.temperature.square() if divergence.scale_by_temperature else 1.0
    labels = None if job.labels is None else job.labels[rows]
    numbers = *divergence.exponents(), divergence.temperature, factor * job.distillation_weight
    values, tasks = alpha_beta_cross_entropy_rows(logits, teacher, slope, *numbers, labels, job.task_weight)
    sums[1] += values.sum() * factor
    if tasks is not None:
        sums[0] += tasks.sum()
    if any(gradient is not None for gradient in gradients):
        _spread(head, inputs, head.pull_back(slope, logits), rows, gradients)
    return True


def _distance(job: _Job, logits: Tensor, rows: slice, gradient: Tensor | None) -> Tensor:
    """Sum the divergence of some rows and write its weighted gradient."""
    if job.divergence is None or job.compare is None:
        if gradient is not None:
            gradient.zero_()
        return logits.new_zeros(())
    with torch.enable_grad():
        student, teacher = job.compare(leaf := logits.detach().requires_grad_(), rows)
    check_logits(student, teacher, None)
    if student is leaf:
        total = job.divergence.rows(logits, teacher, gradient).sum()
    else:
        slope = None if gradient is None else torch.empty_like(student)
        total = job.divergence.rows(student.detach(), teacher, slope).sum()
        if gradient is not None:
            gradient.copy_(torch.autograd.grad(student, leaf, slope)[0])
    if gradient is not None and job.distillation_weight != 1.0:
        gradient.mul_(job.distillation_weight)
    return total


def _cross_entropy(job: _Job, logits: Tensor, rows: slice, gradient: Tensor | None, spare: Tensor) -> Tensor:
    """Sum the cross-entropy of some rows and add its weighted gradient, softmax minus one-hot."""
    if job.labels is None:
        return logits.new_zeros(())
    labels = job.labels[rows].unsqueeze(-1)
    exponents = softmax_exponents(logits, out=spare)
    chosen = exponents.gather(-1, labels)
    powers = exponents.exp2_()
    total = powers.sum(-1, keepdim=True)
    if gradient is not None and job.task_weight:
        gradient.addcmul_(powers, total.reciprocal(), value=job.task_weight)
        gradient.scatter_add_(-1, labels, torch.full_like(labels, -job.task_weight, dtype=gradient.dtype))
    return (total.log() - math.log(2.0) * chosen).sum()


def _spread(head: OutputHead, inputs: Tensor, slope: Tensor, rows: slice, gradients: list[Tensor | None]) -> None:
    """Add to the gradients of hidden states, weight and bias; in float32 where float16 would lose small numbers."""
    to_hidden, to_weight, to_bias = gradients
    dtype = slope.dtype if head.weight.dtype == torch.float16 else head.weight.dtype
    narrow = slope.to(dtype)
    if to_hidden is not None:
        to_hidden[rows] = (narrow @ head.weight.to(dtype)).to(to_hidden.dtype)
    if to_weight is not None and to_weight.dtype == dtype:
        to_weight.addmm_(narrow.T, inputs.to(dtype))
    elif to_weight is not None:
        to_weight.add_(narrow.T @ inputs.to(dtype))
    if to_bias is not None:
        to_bias.add_(slope.sum(0))
