"""Both Kullback-Leibler directions, weighted by the distributions, as losses."""

from torch import Tensor

from lightning_abkd import functional
from lightning_abkd.losses._base import Reduction
from lightning_abkd.losses._divergence import Divergence


class AdaptiveKL(Divergence):
    """Adaptive KL (AKL); see `lightning_abkd.functional.adaptive_kl`.

    Wu et al. 2024, arXiv 2404.02657.

    Args:
        mass: Probability of the teacher's head, in [0, 1].
        temperature: T > 0, see `Divergence`.
        scale_by_temperature: Multiply by T².
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: If `mass` is outside [0, 1].
    """

    def __init__(
        self,
        mass: float = 0.5,
        temperature: float = 1.0,
        scale_by_temperature: bool = False,
        reduction: Reduction = "mean",
    ) -> None:
        if not 0.0 <= mass <= 1.0:
            raise ValueError(f"Parameter `mass` should lie in [0, 1]. Found `mass = {mass}`.")
        super().__init__(temperature, scale_by_temperature, reduction)
        self.mass = mass

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the divergence of each position, shape (..., V) to (...)."""
        return functional.adaptive_kl(log_p, log_q, self.mass)


class EntropyWeightedKL(Divergence):
    """Both directions, the more uncertain distribution's favoured (BDKD); see `functional.entropy_weighted_kl`.

    Args:
        factor: Weight of the favoured direction, at least 0.
        temperature: T > 0, see `Divergence`.
        scale_by_temperature: Multiply by T².
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: If `factor` is negative or not finite.
    """

    def __init__(
        self,
        factor: float = 3.0,
        temperature: float = 1.0,
        scale_by_temperature: bool = False,
        reduction: Reduction = "mean",
    ) -> None:
        if not 0.0 <= factor < float("inf"):
            raise ValueError(f"Parameter `factor` should be finite and at least 0. Found `factor = {factor}`.")
        super().__init__(temperature, scale_by_temperature, reduction)
        self.factor = factor

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the divergence of each position, shape (..., V) to (...)."""
        return functional.entropy_weighted_kl(log_p, log_q, self.factor)
