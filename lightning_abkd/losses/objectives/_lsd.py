"""Logit standardization."""

from torch import Tensor

from lightning_abkd.functional import promote_to_float32
from lightning_abkd.losses._base import DistillationLoss, as_default, check_whole
from lightning_abkd.losses._divergence import Divergence
from lightning_abkd.losses.divergences._alpha_beta import ForwardKL


class LSD(DistillationLoss):
    r"""A divergence between standardised logits (LSD): each row has mean 0 and deviation 1 on both sides.

    Paper: Sun et al. 2024, arXiv 2403.01427, with forward KL, T = 2 and T². ABKD's AB-LSD has the α-β-divergence in its
    place.

    .. math::

        L = D\big( \mathcal{Z}(y) \,\|\, \mathcal{Z}(z) \big), \qquad
        \mathcal{Z}(z)_c = \frac{z_c - \bar{z}}{\sigma(z) + 10^{-7}}

    where:

    - z, y -> `student_logits`, `teacher_logits` of `forward`, all finite; :math:`\bar{z}` is the mean of a row over
      its classes and σ its standard deviation with the denominator C - 1.
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
        value: Tensor = self.divergence(_standardise_rows(student_logits), _standardise_rows(teacher_logits), mask)
        return value


def _standardise_rows(logits: Tensor) -> Tensor:
    """Bring each row to mean 0 and deviation 1 over its classes."""
    centred = promote_to_float32(logits)
    centred = centred - centred.mean(-1, keepdim=True)
    # torch's norm has the gradient 0 at 0, and is faster than its deviation.
    deviation: Tensor = centred.norm(dim=-1, keepdim=True) / max(1, logits.shape[-1] - 1) ** 0.5
    return centred / (1e-7 + deviation)
