"""The loss of last hidden states: logits exist for a few tokens at a time, never in full."""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_abkd._utils import Context, row_slices
from lightning_abkd.distributed import sum_over_processes
from lightning_abkd.losses._divergence import Divergence
from lightning_abkd.losses.hidden._head_layout import head_layout
from lightning_abkd.losses.hidden._head_rows import Comparison, HeadGradients, HeadTerms, PairedLogits
from lightning_abkd.losses.hidden._head_shard_rows import local_terms, sums_of
from lightning_abkd.losses.hidden._output_head import OutputHead
from lightning_abkd.losses.hidden._teacher_head import TeacherHead

# Largest number of logits that exist at once; matrix products need more rows than the divergence's own chunks have.
_CHUNK_ELEMENTS = {"cpu": 1 << 23}
_DEFAULT_CHUNK_ELEMENTS = 1 << 26


class HeadLossTerms(NamedTuple):
    """What `head_loss` returns: the weighted sum, which has a gradient, and its terms, which have none.

    Example: see `head_loss`.
    """

    loss: Tensor
    task_loss: Tensor | None
    divergence: Tensor | None


def split_rows(rows: int, classes: int, device: str) -> list[slice]:
    """Split rows so that the logits of a part stay small.

    Args:
        rows: Number of rows.
        classes: Number of classes.
        device: Type of the device, such as "cpu".

    Returns:
        Slices, in order.

    Example:
        >>> split_rows(rows=100, classes=200_000, device="cpu")
        [slice(0, 41, None), slice(41, 82, None), slice(82, 100, None)]
    """
    return list(row_slices(rows, classes, _CHUNK_ELEMENTS.get(device, _DEFAULT_CHUNK_ELEMENTS)))


def compare_with_head(hidden: Tensor, head: OutputHead) -> PairedLogits:
    """Return a function that pairs the student's logits with a teacher's, which it computes from hidden states.

    Args:
        hidden: Last hidden states of the teacher at the counted positions, shape (N, D).
        head: The teacher's output layer.

    Returns:
        A function for `head_loss`. Given the student's logits (n, V) of some rows and the slice of these rows, it
        returns the logits to compare, the student's first. The teacher's are overwritten by the next call.

    Example:
        >>> compare = compare_with_head(torch.ones(2, 3), OutputHead(torch.eye(4, 3)))
        >>> student, teacher = compare(torch.zeros(1, 4), slice(0, 1))
        >>> teacher
        tensor([[1., 1., 1., 0.]])
    """
    return TeacherHead(hidden, head)


def head_loss(
    hidden: Tensor,
    head: OutputHead,
    labels: Tensor | None = None,
    compare: PairedLogits | None = None,
    divergence: Divergence | None = None,
    task_weight: float = 1.0,
    distillation_weight: float = 1.0,
) -> HeadLossTerms:
    r"""Compute cross-entropy and divergence from hidden states, in chunks of tokens.

    .. math::

        L = \frac{1}{N} \sum_{n=1}^{N} \big[ \lambda_1 \, \mathrm{CE}(z_n, l_n) + \lambda_2 \, D(y_n, z_n) \big]

    where:

    - z, y -> the logits that `head` computes from `hidden`, and those that `compare` pairs with them; l -> `labels`.
    - D -> `divergence`, with its temperature and T².
    - λ₁, λ₂ -> `task_weight`, `distillation_weight`.

    The results equal those from full logits up to float32 rounding. Value and gradient come from one pass. It keeps the
    gradients with respect to hidden states and head, and nothing of the logits' size. The head runs in autocast's
    dtype, if any.

    Hidden states and output layers may lie on several processes, as DTensors: the rows of an output layer (its
    classes, `Shard(0)` of the weight), the tokens (`Shard(0)` of the hidden states), or both. What is whole is the same
    on all processes then, as are the results. Logits are never gathered; the gradient of hidden states is summed over
    the processes.

    Args:
        hidden: Last hidden states of the student at the counted positions, shape (N, D).
        head: The student's output layer, with V rows.
        labels: Next tokens (N,); None leaves the task loss out.
        compare: What the divergence compares, given the student's logits of some rows; see `compare_with_head`.
        divergence: A divergence that is a mean over positions (`Divergence.is_rowwise_mean`); None leaves it out.
        task_weight: Weight of the cross-entropy.
        distillation_weight: Weight of the divergence.

    Returns:
        The loss, and its two terms for logging. Without any position all are 0, and the loss still has a gradient.

    Raises:
        ValueError: If the divergence is not a mean over positions, or comes without `compare`, or the teacher has
            another number of classes; if DTensors lie in other ways, or the classes do and the divergence is no sum
            over classes.

    Example:
        >>> from lightning_abkd.losses import ForwardKL
        >>> hidden, head = torch.ones(2, 3), OutputHead(torch.eye(4, 3))
        >>> round(head_loss(hidden, head, torch.tensor([0, 1])).loss.item(), 4)
        1.2143
        >>> head_loss(hidden, head, None, compare_with_head(hidden, head), ForwardKL()).loss.item()
        0.0
    """
    comparison = _comparison(divergence, compare)
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else head.weight.dtype
    terms = HeadTerms(head, labels, comparison, task_weight, distillation_weight, len(hidden))
    layout = head_layout(hidden, head, compare)
    if layout is not None:
        terms = local_terms(terms, layout)
        hidden = layout.local_tokens(hidden)
    sums: tuple[Tensor, ...] = _HeadLoss.apply(hidden, terms.head.weight, terms.head.bias, dtype, terms)
    if layout is not None:
        sums = sum_over_processes(torch.stack(sums), layout.token_groups).unbind()
    loss, task, distance = sums
    if divergence is not None and divergence.training:
        divergence.on_loss(distance)
    return HeadLossTerms(loss, None if labels is None else task, None if divergence is None else distance)


def _comparison(divergence: Divergence | None, compare: PairedLogits | None) -> Comparison | None:
    if divergence is None:
        return None
    if compare is None or not divergence.is_rowwise_mean:
        raise ValueError(
            f"The loss of hidden states needs a divergence that is a mean over positions, and `compare`. "
            f"Found {type(divergence).__name__} and `compare = {compare}`. Compute the logits instead."
        )
    return Comparison(divergence, compare)


class _HeadLossContext(Context):
    gradients: tuple[Tensor | None, ...] | None


class _HeadLoss(torch.autograd.Function):
    """The loss and its gradients in one pass; a second backward pass is refused."""

    @staticmethod
    def forward(
        ctx: _HeadLossContext, hidden: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype, terms: HeadTerms
    ) -> tuple[Tensor, Tensor, Tensor]:
        head = replace(terms.head, weight=weight, bias=bias).to(dtype)
        at_least_single = torch.promote_types(dtype, torch.float32)
        gradients = HeadGradients((hidden, weight, bias), ctx.needs_input_grad, at_least_single)
        terms = replace(terms, head=head)
        sums = sums_of(terms, gradients, at_least_single)
        with torch.autocast(hidden.device.type, enabled=False):
            for rows in split_rows(len(hidden), terms.classes_at_once, hidden.device.type):
                sums.add(hidden[rows].to(dtype), rows)
        count = max(terms.count, 1)
        ctx.gradients = gradients.means(count)
        task = sums.task / count
        distance = sums.divergence / count
        ctx.mark_non_differentiable(task, distance)
        return terms.task_weight * task + terms.distillation_weight * distance, task, distance

    @staticmethod
    @once_differentiable
    def backward(ctx: _HeadLossContext, upstream: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        gradients = ctx.gradients
        ctx.gradients = None
        if gradients is None:
            raise RuntimeError("The loss of hidden states keeps its gradient for one backward pass. Found a second.")
        return *(None if gradient is None else gradient.mul_(upstream) for gradient in gradients), None, None
