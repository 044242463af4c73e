"""Divergences of logits that are sharded over the vocabulary: no process ever holds all classes of a row."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributed import ProcessGroup

from lightning_abkd._utils import Context, check_same_shape
from lightning_abkd.distributed._shard_sums import PartialDivergence, ShardSums, ShardTerms, stored
from lightning_abkd.functional import alpha_beta_divergence


def alpha_beta_from_shards(
    student_logits: Tensor,
    teacher_logits: Tensor,
    alpha: float | Tensor,
    beta: float | Tensor,
    temperature: float | Tensor = 1.0,
    groups: Sequence[ProcessGroup] = (),
) -> Tensor:
    r"""Compute the α-β-divergence of each position from logits of which each process holds some classes.

    .. math::

        D_{\alpha,\beta}(p\|q) = \sum_r \sum_{k \in V_r} t_k, \qquad
        t_k = -\frac{1}{\alpha\beta} \Big[ p_k^\alpha q_k^\beta
            - \tfrac{\alpha}{\alpha+\beta} p_k^{\alpha+\beta} - \tfrac{\beta}{\alpha+\beta} q_k^{\alpha+\beta} \Big]

    .. math::

        \log q_k = \frac{z_k - M}{T} - \log \sum_r \sum_{j \in V_r} e^{(z_j - M) / T}, \qquad
        \frac{\partial D}{\partial z_k} = \frac{1}{T} \Big( q_k \sum_r \sum_{j \in V_r} g_j - g_k \Big)

    where:

    - z, y -> `student_logits`, `teacher_logits`: the process r holds those of its classes V_r. M is the largest z of
      all classes; p follows from y as q does from z.
    - α, β -> `alpha`, `beta`: any real numbers. The paper (Wang et al., "ABKD", ICML 2025, arXiv 2505.04560) uses
      (0.2, 0.7) for language models and (0.8, 0.3) for CIFAR-100.
    - T -> `temperature`: greater than 0. The paper uses 1 for language models and 4 for CIFAR-100.
    - g -> the slope of `lightning_abkd.functional.alpha_beta_slope`, at the processes' classes.

    Terms and limits are those of `lightning_abkd.functional.alpha_beta_divergence`. No logits are gathered: three
    all-reduces tell all processes the largest logits, the sums of exponentials, and the sums of t and g. That is two
    numbers a position each, however large the vocabulary is. The gradient comes from the same pass.

    Args:
        student_logits: Shape (..., v), any floating dtype; v classes, of which each process may have another number.
        teacher_logits: Shape (..., v), the same classes.
        alpha: A number or a 0-dimensional tensor. It receives no gradient.
        beta: As `alpha`.
        temperature: As `alpha`.
        groups: The processes that hold one row together. With several groups the classes are split over each of them,
            as over the dimensions of a mesh. Without any this process holds all classes.

    Returns:
        Divergence, shape (...), the same on all processes of a row. It has first derivatives with respect to both
        logits, for an upstream gradient that is the same on these processes, too.

    Raises:
        ValueError: If the shapes of the logits differ.

    Example:
        >>> value = alpha_beta_from_shards(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 0.0]), 1.0, 0.0)
        >>> round(value.item(), 4)
        0.4338
    """

    def partial(log_p: Tensor, log_q: Tensor) -> Tensor:
        return alpha_beta_divergence(log_p, log_q, alpha, beta)

    return divergence_from_shards(student_logits, teacher_logits, partial, temperature, groups)


def divergence_from_shards(
    student_logits: Tensor,
    teacher_logits: Tensor,
    partial: PartialDivergence,
    temperature: float | Tensor = 1.0,
    groups: Sequence[ProcessGroup] = (),
    mask: Tensor | None = None,
) -> Tensor:
    r"""Compute a divergence that is a sum over classes, from logits of which each process holds some classes.

    .. math::

        D(p\|q) = \sum_r D_r, \qquad
        \frac{\partial D}{\partial z_k} = \frac{1}{T} \Big( \frac{\partial D_r}{\partial \log q_k}
            - q_k \sum_r \sum_{j \in V_r} \frac{\partial D_r}{\partial \log q_j} \Big)

    where:

    - D_r -> `partial` of the log-probabilities of the classes V_r that the process r holds.
    - z -> `student_logits`, q = softmax(z / T) over the classes of all processes.
    - T -> `temperature`: greater than 0.

    Args:
        student_logits: Shape (..., v), any floating dtype.
        teacher_logits: Shape (..., v), the same classes.
        partial: Computes D_r, shape (n, v) to (n,), in float32 or wider.
        temperature: T.
        groups: The processes that hold one row together, see `alpha_beta_from_shards`.
        mask: Boolean, shape (...), the same on all processes of a row. Masked positions are not read and give 0.

    Returns:
        Divergence, shape (...), as that of `alpha_beta_from_shards`.

    Raises:
        ValueError: If the shapes of the logits differ.

    Example:
        >>> from lightning_abkd.functional import jensen_shannon
        >>> value = divergence_from_shards(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 0.0]), jensen_shannon)
        >>> round(value.item(), 4)
        0.0895
    """
    check_same_shape(student_logits, teacher_logits, advice="Let both hold the same classes.")
    shape = student_logits.shape
    index = None if mask is None else mask.reshape(-1).nonzero().squeeze(-1)
    terms = ShardTerms(partial, torch.as_tensor(temperature, device=student_logits.device), tuple(groups), index)
    # Not -1, which says nothing of the rows where this process holds no class.
    flat = (shape[:-1].numel(), shape[-1])
    values: Tensor = _FromShards.apply(student_logits.reshape(flat), teacher_logits.reshape(flat), terms)
    return values.view(shape[:-1])


class _ShardContext(Context):
    dtypes: tuple[torch.dtype, ...]


class _FromShards(torch.autograd.Function):
    """The values of all rows, and both gradients from the same pass."""

    @staticmethod
    def forward(ctx: _ShardContext, student: Tensor, teacher: Tensor, terms: ShardTerms) -> Tensor:
        sums = ShardSums(student, teacher, terms, (ctx.needs_input_grad[0], ctx.needs_input_grad[1]))
        ctx.dtypes = (student.dtype, teacher.dtype)
        ctx.save_for_backward(*(stored(x, dtype) for x, dtype in zip(sums.gradients, ctx.dtypes, strict=True)))
        return sums.values

    @staticmethod
    @once_differentiable
    def backward(ctx: _ShardContext, upstream: Tensor) -> tuple[Tensor | None, ...]:
        # Where a side needs no gradient, None was saved for it.
        gradients: tuple[Tensor | None, ...] = ctx.saved_tensors
        scaled = (None if gradient is None else gradient * upstream.unsqueeze(-1) for gradient in gradients)
        return *(None if x is None else x.to(dtype) for x, dtype in zip(scaled, ctx.dtypes, strict=True)), None
