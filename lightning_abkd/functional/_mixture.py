"""Divergences from a mixture of teacher and student."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_abkd._utils import Context, check_interval, check_same_shape
from lightning_abkd.functional._numerics import bound_infinities, promote_to_float32


def jensen_shannon(log_p: Tensor, log_q: Tensor, weight: float = 0.5) -> Tensor:
    r"""Compute the generalised Jensen-Shannon divergence of teacher p and student q.

    Paper: Agarwal et al. 2024 (GKD), arXiv 2306.13649.

    .. math::

        \mathrm{JSD}_w(p\|q) = w \, \mathrm{KL}(p\|m) + (1 - w) \, \mathrm{KL}(q\|m), \qquad m = w p + (1 - w) q

    where:

    - p, q -> exp of `log_p`, `log_q`: distributions over the classes.
    - w -> `weight`: the teacher's share of the mixture, in (0, 1). It is the paper's β, which tries 0.1, 0.5 and 0.9;
      at both ends the divergence is identically 0.

    Args:
        log_p: Teacher log-probabilities, shape (..., V). float16 and bfloat16 are promoted to float32.
        log_q: Student log-probabilities, shape (..., V).
        weight: Share of the teacher, in (0, 1).

    Returns:
        Divergence in nats, shape (...), at most the entropy of (w, 1 - w). First derivatives with respect to `log_p`
        and `log_q` are closed forms; second derivatives are not available.

    Raises:
        ValueError: If `weight` is not inside (0, 1), or the shapes of `log_p` and `log_q` differ.

    Example:
        >>> import torch
        >>> round(jensen_shannon(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()).item(), 4)
        0.1017
    """
    check_interval("weight", weight, "(0, 1)", "Use `forward_kl` or `reverse_kl` for one direction alone.")
    check_same_shape(log_p, log_q, ("log_p", "log_q"))
    log_p = promote_to_float32(log_p, log_q)
    log_q = promote_to_float32(log_q, log_p)
    with torch.no_grad():
        over_mixture = _log_ratios(log_p, log_q, weight)
        # ∂/∂log p is w (p log(p/m) + p - p), where + p is the derivative of log p and - p that of log m.
        teacher_slope = over_mixture.teacher.mul_(log_p.exp()).mul_(weight)
        student_slope = over_mixture.student.mul_(log_q.exp()).mul_(1.0 - weight)
    result: Tensor = _FromSlopes.apply(log_p, log_q, teacher_slope, student_slope)
    return result


def skewed_forward_kl(log_p: Tensor, log_q: Tensor, skew: float = 0.1) -> Tensor:
    r"""Compute the skewed forward Kullback-Leibler divergence of the student q from the teacher p.

    Paper: Ko et al. 2024 (DistiLLM), arXiv 2402.03898. Their code leaves out the teacher's entropy, which changes the
    value but not the gradient with respect to the student. Here it is the true divergence.

    .. math::

        \mathrm{SKL}_\lambda(p\|q) = \mathrm{KL}\big(p \,\|\, \lambda p + (1 - \lambda) q\big)

    where:

    - p, q -> exp of `log_p`, `log_q`: distributions over the classes.
    - λ -> `skew`: the teacher's share of the mixture, in (0, 1); the paper uses 0.1. The limit λ = 0 is `forward_kl`.

    Args:
        log_p: Teacher log-probabilities, shape (..., V). float16 and bfloat16 are promoted to float32.
        log_q: Student log-probabilities, shape (..., V).
        skew: Share of the teacher, in (0, 1).

    Returns:
        Divergence in nats, shape (...), at most -log λ. Derivatives as in `jensen_shannon`.

    Raises:
        ValueError: If `skew` is not inside (0, 1), or the shapes of `log_p` and `log_q` differ.

    Example:
        >>> import torch
        >>> round(skewed_forward_kl(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()).item(), 4)
        0.3653
    """
    check_interval("skew", skew, "(0, 1)", "At 0 the divergence is `forward_kl`.")
    check_same_shape(log_p, log_q, ("log_p", "log_q"))
    return _skewed_kl(log_p, log_q, skew)


def skewed_reverse_kl(log_p: Tensor, log_q: Tensor, skew: float = 0.1) -> Tensor:
    r"""Compute the skewed reverse Kullback-Leibler divergence of the teacher p from the student q.

    Paper: Ko et al. 2024 (DistiLLM), arXiv 2402.03898.

    .. math::

        \mathrm{SRKL}_\lambda(p\|q) = \mathrm{KL}\big(q \,\|\, (1 - \lambda) p + \lambda q\big)

    where:

    - p, q -> exp of `log_p`, `log_q`: distributions over the classes.
    - λ -> `skew`: the student's share of the mixture, in (0, 1); the paper uses 0.1. The limit λ = 0 is `reverse_kl`.

    Args:
        log_p: Teacher log-probabilities, shape (..., V). float16 and bfloat16 are promoted to float32.
        log_q: Student log-probabilities, shape (..., V).
        skew: Share of the student, in (0, 1).

    Returns:
        Divergence in nats, shape (...), at most -log λ. Derivatives as in `jensen_shannon`.

    Raises:
        ValueError: If `skew` is not inside (0, 1), or the shapes of `log_p` and `log_q` differ.

    Example:
        >>> import torch
        >>> round(skewed_reverse_kl(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()).item(), 4)
        0.3071
    """
    check_interval("skew", skew, "(0, 1)", "At 0 the divergence is `reverse_kl`.")
    check_same_shape(log_p, log_q, ("log_p", "log_q"))
    return _skewed_kl(log_q, log_p, skew)


class _FromSlopes(torch.autograd.Function):
    """The sum of ∂D/∂log p + ∂D/∂log q over the classes.

    By Euler's theorem it is D itself, because every divergence in this file is homogeneous of degree 1 in (p, q).
    """

    @staticmethod
    def forward(ctx: Context, log_p: Tensor, log_q: Tensor, teacher_slope: Tensor, student_slope: Tensor) -> Tensor:
        ctx.save_for_backward(teacher_slope, student_slope)
        return (teacher_slope + student_slope).sum(-1).clamp_(min=0.0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, grad: Tensor) -> tuple[Tensor | None, ...]:
        by_teacher = grad.unsqueeze(-1) * ctx.saved_tensors[0] if ctx.needs_input_grad[0] else None
        by_student = grad.unsqueeze(-1) * ctx.saved_tensors[1] if ctx.needs_input_grad[1] else None
        return by_teacher, by_student, None, None


class _LogRatios(NamedTuple):
    """log(p/m) and log(q/m) of teacher p and student q over their mixture m."""

    teacher: Tensor
    student: Tensor


def _log_ratios(log_p: Tensor, log_q: Tensor, share: float) -> _LogRatios:
    """Compute both ratios for m = share · p + (1 - share) · q; neither cancels as p → q nor overflows."""
    u, v, _ = bound_infinities(log_p, log_q)
    d = u - v
    shares = d.new_tensor([1.0 - share, share])
    # The share of the smaller of p and q.
    other = torch.where(d > 0, shares[0], shares[1])
    rest = other.mul_(torch.expm1(-d.abs())).log1p_()
    return _LogRatios(d.clamp(max=0.0).sub_(rest), d.clamp_(min=0.0).add_(rest).neg_())


def _skewed_kl(log_p: Tensor, log_q: Tensor, skew: float) -> Tensor:
    """Compute KL(p‖m), m = λ p + (1 - λ) q, with λ = `skew`."""
    log_p = promote_to_float32(log_p, log_q)
    log_q = promote_to_float32(log_q, log_p)
    with torch.no_grad():
        over_mixture = _log_ratios(log_p, log_q, skew)
        # Of p log(p/m) - p + m, which has the same sum over all classes, no term is negative.
        excess = torch.expm1(over_mixture.teacher)
        student_slope = (excess * log_q.exp()).mul_(skew - 1.0)
        teacher_slope = over_mixture.teacher.sub_(excess.mul_(skew)).mul_(log_p.exp())
    result: Tensor = _FromSlopes.apply(log_p, log_q, teacher_slope, student_slope)
    return result
