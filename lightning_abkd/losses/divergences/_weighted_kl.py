"""Both Kullback-Leibler directions, weighted by the distributions, as losses."""

from torch import Tensor

from lightning_abkd import functional
from lightning_abkd._utils import check_at_least, check_interval
from lightning_abkd.losses._base import Reduction
from lightning_abkd.losses._divergence import Divergence


class AdaptiveKL(Divergence):
    """Both directions of KL, weighted by where teacher and student differ (AKL).

    Paper: Wu et al. 2024, arXiv 2404.02657. Formula in `lightning_abkd.functional.adaptive_kl`.

    Args:
        mass: Probability μ of the teacher's head, in [0, 1]; the paper uses 0.5.
        temperature, scale_by_temperature, reduction: See `Divergence`.

    Raises:
        ValueError: If `mass` is outside [0, 1].

    Example:
        >>> import torch
        >>> round(AdaptiveKL()(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item(), 4)
        0.3808
    """

    def __init__(
        self,
        mass: float = 0.5,
        temperature: float = 1.0,
        scale_by_temperature: bool = False,
        reduction: Reduction = "mean",
    ) -> None:
        check_interval("mass", mass, "[0, 1]")
        super().__init__(temperature, scale_by_temperature, reduction)
        self.mass = mass

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the divergence of each position, shape (..., V) to (...)."""
        return functional.adaptive_kl(log_p, log_q, self.mass)


class EntropyWeightedKL(Divergence):
    """Both directions of KL, of which the more uncertain distribution's weighs more (BD-KD).

    Paper: Amara et al. 2022, arXiv 2212.12965. Formula in `lightning_abkd.functional.entropy_weighted_kl`.

    Args:
        factor: Weight c of the favoured direction, at least 0; the released code uses 3.
        temperature, scale_by_temperature, reduction: See `Divergence`.

    Raises:
        ValueError: If `factor` is negative or not finite.

    Example:
        >>> import torch
        >>> round(EntropyWeightedKL()(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item(), 4)
        1.6292
    """

    def __init__(
        self,
        factor: float = 3.0,
        temperature: float = 1.0,
        scale_by_temperature: bool = False,
        reduction: Reduction = "mean",
    ) -> None:
        check_at_least("factor", factor, 0.0)
        super().__init__(temperature, scale_by_temperature, reduction)
        self.factor = factor

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the divergence of each position, shape (..., V) to (...)."""
        return functional.entropy_weighted_kl(log_p, log_q, self.factor)
