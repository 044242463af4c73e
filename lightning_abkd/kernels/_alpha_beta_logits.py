"""Differentiable entry points of the Triton kernel: the value, and the value with statistics."""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_abkd._utils import check_same_shape
from lightning_abkd.kernels._alpha_beta_op import alpha_beta_op

_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class AlphaBetaStatistics(NamedTuple):
    """The divergence of each position and statistics from the same pass, float32, each of shape (...).

    Args:
        value: D(p‖q), which has a gradient; the others have none.
        student_entropy: -Σ q log q in nats.
        teacher_entropy: -Σ p log p in nats.
        agreement: 1 where both sides have the same most probable class (the first one of a tie), 0 elsewhere.
        cross_power: Σ p^α q^β over the classes that are not excluded by both sides.
        student_power: Σ q^(α+β) over the same classes.
        teacher_power: Σ p^(α+β).

    Example: see `alpha_beta_statistics`.
    """

    value: Tensor
    student_entropy: Tensor
    teacher_entropy: Tensor
    agreement: Tensor
    cross_power: Tensor
    student_power: Tensor
    teacher_power: Tensor


def alpha_beta_from_logits(
    student_logits: Tensor,
    teacher_logits: Tensor,
    alpha: float | Tensor,
    beta: float | Tensor,
    temperature: float | Tensor = 1.0,
    mask: Tensor | None = None,
    inplace: bool = False,
) -> Tensor:
    r"""Compute the α-β-divergence of each position from logits in one kernel, and its gradients in another.

    .. math::

        D_{\alpha,\beta}(p \| q), \qquad p = \mathrm{softmax}(y / T), \quad q = \mathrm{softmax}(z / T)

    where:

    - z, y -> `student_logits`, `teacher_logits`.
    - α, β -> `alpha`, `beta`: any real numbers. The paper (Wang et al., "ABKD", ICML 2025, arXiv 2505.04560) uses
      (0.2, 0.7) for language models and (0.8, 0.3) for CIFAR-100.
    - T -> `temperature`: greater than 0. The paper uses 1 for language models and 4 for CIFAR-100.

    The numbers are those of `lightning_abkd.functional.alpha_beta_divergence`, which defines D, in float32 arithmetic.
    Eight numbers per row are kept for the backward pass, and nothing of the logits' size. The backward pass may run
    any number of times. Changing α, β or T neither compiles anything nor synchronises with the device.

    Args:
        student_logits: Shape (..., V), float32, bfloat16 or float16, of any strides.
        teacher_logits: Shape (..., V), of a dtype and strides of its own.
        alpha: A number, or a tensor that broadcasts against the leading shape (...). It receives no gradient.
        beta: As `alpha`.
        temperature: As `alpha`.
        mask: Boolean, shape (...), True where a position counts. Other positions are not read; their value and gradient
            are 0.
        inplace: Overwrite the student's logits with the gradient. Nothing else may use these logits afterwards, and the
            backward pass runs only once.

    Returns:
        Divergence, shape (...), float32; in nats at (1, 0) and (0, 1). It has first derivatives with respect to both
        logits, but no second derivatives.

    Raises:
        ValueError: If shapes do not fit each other, or `inplace` is set for logits whose positions share memory.
        TypeError: If logits are of another dtype.
        RuntimeError: If Triton does not run where the logits are; see `runs_triton`.

    Example:
        >>> from lightning_abkd.kernels import runs_triton
        >>> student, teacher = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 0.0])
        >>> kernel = runs_triton(student.device)
        >>> round(alpha_beta_from_logits(student, teacher, 1.0, 0.0).item(), 4) if kernel else 0.4338
        0.4338
    """
    if inplace and 0 in student_logits.stride():
        raise ValueError(
            "Positions of `student_logits` should have memory of their own to be overwritten in place. "
            f"Found strides {student_logits.stride()}. Call it with `inplace = False`."
        )
    return _apply(student_logits, teacher_logits, alpha, beta, temperature, mask, inplace=inplace)[0]


def alpha_beta_statistics(
    student_logits: Tensor,
    teacher_logits: Tensor,
    alpha: float | Tensor,
    beta: float | Tensor,
    temperature: float | Tensor = 1.0,
    mask: Tensor | None = None,
) -> AlphaBetaStatistics:
    r"""Compute the α-β-divergence as `alpha_beta_from_logits` does, and its by-products without another pass.

    .. math::

        D_{\alpha,\beta}(p \| q), \quad H(q), \quad H(p), \quad \sum_k p_k^\alpha q_k^\beta, \quad
        \sum_k q_k^{\alpha+\beta}, \quad \sum_k p_k^{\alpha+\beta}, \qquad H(q) = -\sum_k q_k \log q_k

    where:

    - p, q -> softmax of `teacher_logits` / T and of `student_logits` / T, over the classes k.
    - α, β -> `alpha`, `beta`: any real numbers; the paper's values as in `alpha_beta_from_logits`.
    - T -> `temperature`: greater than 0.

    Args:
        student_logits: Shape (..., V), float32, bfloat16 or float16.
        teacher_logits: Shape (..., V).
        alpha: α, a number or a tensor that broadcasts against (...).
        beta: β, as `alpha`.
        temperature: T > 0, as `alpha`. Entropies and powers are those at this temperature.
        mask: Boolean, shape (...). Masked positions give 0 everywhere.

    Returns:
        Value, entropies, agreement and sums of powers of each position.

    Raises:
        ValueError: If shapes do not fit each other.
        TypeError: If logits are of another dtype.
        RuntimeError: If Triton does not run where the logits are.

    Example:
        >>> rows = torch.zeros(1, 4)
        >>> from lightning_abkd.kernels import runs_triton
        >>> alpha_beta_statistics(rows, rows, 1.0, 0.0).agreement.item() if runs_triton(rows.device) else 1.0
        1.0
    """
    values, statistics = _apply(student_logits, teacher_logits, alpha, beta, temperature, mask, with_statistics=True)
    return AlphaBetaStatistics(values, *statistics.unbind())


def _apply(
    student_logits: Tensor,
    teacher_logits: Tensor,
    alpha: float | Tensor,
    beta: float | Tensor,
    temperature: float | Tensor,
    mask: Tensor | None,
    with_statistics: bool = False,
    inplace: bool = False,
) -> tuple[Tensor, Tensor]:
    """Compute values (...) and statistics (6, ...) or (0, ...)."""
    check_logits(student_logits, teacher_logits)
    if mask is not None:
        _check_mask(mask, student_logits)
    classes = student_logits.shape[-1]
    leading = student_logits.shape[:-1]
    values, _, statistics = alpha_beta_op(
        student_logits.reshape(-1, classes),
        teacher_logits.reshape(-1, classes),
        per_row(alpha, student_logits),
        per_row(beta, student_logits),
        per_row(temperature, student_logits),
        None if mask is None else mask.reshape(-1).contiguous(),
        teacher_logits.requires_grad,
        with_statistics,
        inplace,
    )
    return values.view(leading), statistics.view(len(statistics), *leading)


def per_row(number: float | Tensor, logits: Tensor) -> Tensor:
    """Return one number per row (N,), with stride 0 if all rows share it, without synchronising with a device."""
    if not isinstance(number, Tensor):
        number = torch.full((), number, dtype=torch.float32, device=logits.device)
    return number.detach().to(logits.device).expand(logits.shape[:-1]).reshape(-1)


def check_logits(student_logits: Tensor, teacher_logits: Tensor) -> None:
    """Raise ValueError or TypeError unless the kernel can read such logits."""
    check_same_shape(student_logits, teacher_logits)
    check_dtype("student_logits", student_logits)
    check_dtype("teacher_logits", teacher_logits)


def check_dtype(name: str, tensor: Tensor) -> None:
    """Raise TypeError unless the kernel can read or write the dtype."""
    if tensor.dtype not in _DTYPES:
        raise TypeError(f"Parameter `{name}` should be float32, bfloat16 or float16. Found {tensor.dtype}.")


def _check_mask(mask: Tensor, logits: Tensor) -> None:
    if mask.dtype != torch.bool or mask.shape != logits.shape[:-1]:
        raise ValueError(
            f"Parameter `mask` should be boolean of shape {tuple(logits.shape[:-1])}. "
            f"Found {mask.dtype} of shape {tuple(mask.shape)}."
        )
