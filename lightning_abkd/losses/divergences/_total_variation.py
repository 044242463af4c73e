"""The total variation distance as a loss."""

from torch import Tensor

from lightning_abkd import functional
from lightning_abkd.losses._divergence import Divergence


class TotalVariation(Divergence):
    """Total variation distance; formula in `lightning_abkd.functional.total_variation`.

    Paper: Wen et al. 2023 (f-distill), arXiv 2307.15190. Arguments as in `Divergence`.

    Example:
        >>> import torch
        >>> round(TotalVariation()(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item(), 4)
        0.3808
    """

    is_sum_over_classes = True

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the distance of each position, shape (..., V) to (...)."""
        return functional.total_variation(log_p, log_q)
