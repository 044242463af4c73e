"""Logit standardization."""

import torch
from torch import Tensor

from lightning_abkd.functional import can_read_without_sync, promote_to_float32
from lightning_abkd.losses._base import DistillationLoss, as_default, check_logits, check_whole, without_masked
from lightning_abkd.losses._divergence import Divergence
from lightning_abkd.losses.divergences._alpha_beta import ForwardKL

# Masks write the least number of a dtype, and no network a number of this size.
_EXCLUDED = -1e30
_MODERATE = 1e15


class LSD(DistillationLoss):
    r"""A divergence between standardised logits (LSD): each row has mean 0 and deviation 1 on both sides.

    Paper: Sun et al. 2024, arXiv 2403.01427, with forward KL, T = 2 and T². ABKD's AB-LSD has the α-β-divergence in its
    place.

    .. math::

        L = D\big( \mathcal{Z}(y) \,\|\, \mathcal{Z}(z) \big), \qquad
        \mathcal{Z}(z)_c = \frac{z_c - \bar{z}}{\sigma(z) + 10^{-7}}

    where:

    - z, y -> `student_logits`, `teacher_logits` of `forward`; :math:`\bar{z}` is the mean of a row over its classes
      and σ its standard deviation with the denominator C - 1. Classes that a mask has excluded, at -inf or at the least
      number of float32 or bfloat16, do not count among the C and stay excluded.
    - D -> `divergence`, with its temperature and T².

    Args:
        divergence: Divergence between the standardised logits; None stands for `ForwardKL(2.0, True)`.

    Example:
        >>> import torch
        >>> LSD()(torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[2.0, 4.0, 8.0]])).item() < 1e-6
        True
    """

    def __init__(self, divergence: Divergence | None = None) -> None:
        super().__init__()
        self.divergence = divergence or as_default(ForwardKL(2.0, scale_by_temperature=True))

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the loss of a batch; shapes and errors as in `Divergence`."""
        check_whole("LSD", {"student_logits": student_logits, "teacher_logits": teacher_logits})
        if mask is not None:
            check_logits(student_logits, teacher_logits, mask)
        student = _standardise_rows(without_masked(promote_to_float32(student_logits), mask))
        teacher = _standardise_rows(without_masked(promote_to_float32(teacher_logits), mask))
        value: Tensor = self.divergence(student, teacher, mask)
        return value


def _standardise_rows(logits: Tensor) -> Tensor:
    """Bring each row to mean 0 and deviation 1 over its classes."""
    centred = logits - logits.mean(-1, keepdim=True)
    # torch's norm has the gradient 0 at 0, and is faster than its deviation.
    deviation: Tensor = centred.norm(dim=-1, keepdim=True) / max(1, logits.shape[-1] - 1) ** 0.5
    if can_read_without_sync(deviation) and deviation.numel() and deviation.amax().item() < _MODERATE:
        return centred / (1e-7 + deviation)
    return _standardise_possible(logits)


def _standardise_possible(logits: Tensor) -> Tensor:
    """Bring the classes of each row that are not excluded to mean 0 and deviation 1, whatever their size."""
    excluded = logits < _EXCLUDED
    count = (~excluded).sum(-1, keepdim=True)
    shares = logits.masked_fill(excluded, 0.0) / count.clamp(min=1)
    centred = (logits - shares.sum(-1, keepdim=True)).masked_fill(excluded, 0.0)
    # In units of the largest, whose square may overflow.
    unit = centred.detach().abs().amax(-1, keepdim=True).clamp(min=1.0)
    deviation: Tensor = (centred / unit).norm(dim=-1, keepdim=True) / (count - 1).clamp(min=1).sqrt() * unit
    return (centred / (1e-7 + deviation)).masked_fill(excluded, -torch.inf)
