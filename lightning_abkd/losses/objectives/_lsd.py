"""Logit standardization."""

from torch import Tensor

from lightning_abkd.losses._base import DistillationLoss
from lightning_abkd.losses._divergence import Divergence, wide
from lightning_abkd.losses.divergences._alpha_beta import ForwardKL


class LSD(DistillationLoss):
    """A divergence between standardised logits (LSD): each row is brought to mean 0 and deviation 1 on both sides.

    Sun et al. 2024, arXiv 2403.01427, with forward KL, T = 2 and T²; ABKD's AB-LSD has the α-β-divergence inside.

    Args:
        divergence: Divergence between the standardised logits; None takes `ForwardKL(2.0, True)`.

    Example:
        >>> import torch
        >>> LSD()(torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[2.0, 4.0, 8.0]])).item() < 1e-6
        True
    """

    def __init__(self, divergence: Divergence | None = None) -> None:
        super().__init__()
        self.divergence = divergence or ForwardKL(2.0, scale_by_temperature=True)

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the loss of a batch; shapes and errors as for `Divergence`."""
        value: Tensor = self.divergence(_standardised(student_logits), _standardised(teacher_logits), mask)
        return value


def _standardised(logits: Tensor) -> Tensor:
    centred = wide(logits)
    centred = centred - centred.mean(-1, keepdim=True)
    # torch's norm has the gradient 0 at 0, and is faster than its deviation.
    deviation: Tensor = centred.norm(dim=-1, keepdim=True) / (logits.shape[-1] - 1) ** 0.5
    return centred / (1e-7 + deviation)
