"""Losses of two directions or of a mixture of teacher and student."""

from torch import Tensor

from lightning_abkd import functional
from lightning_abkd.losses._base import Reduction
from lightning_abkd.losses._divergence import Divergence


def _check_weight(name: str, value: float, closed: bool = False) -> None:
    if not (0.0 < value < 1.0 or (closed and value in (0.0, 1.0))):
        ends = "ends included" if closed else "ends excluded"
        raise ValueError(f"Parameter `{name}` should lie between 0 and 1, {ends}. Found `{name} = {value}`.")


class SymmetricKL(Divergence):
    """Weighted sum (1 - λ) KL(teacher‖student) + λ KL(student‖teacher).

    Args:
        weight: λ, share of the reverse direction, in [0, 1]; live.
        temperature: T > 0, see `Divergence`.
        scale_by_temperature: Multiply by T².
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: If `weight` is outside [0, 1].
    """

    weight: Tensor

    def __init__(
        self,
        weight: float = 0.5,
        temperature: float = 1.0,
        scale_by_temperature: bool = False,
        reduction: Reduction = "mean",
    ) -> None:
        _check_weight("weight", weight, closed=True)
        super().__init__(temperature, scale_by_temperature, reduction)
        self.hyperparameter("weight", weight)

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the divergence of each position, shape (..., V) to (...)."""
        return functional.symmetric_kl(log_p, log_q, self.weight)


class JensenShannon(Divergence):
    """Generalised Jensen-Shannon divergence; see `lightning_abkd.functional.jensen_shannon`.

    Agarwal et al. 2024 (GKD), arXiv 2306.13649.

    Args:
        weight: Teacher's share of the mixture, in (0, 1); their β.
        temperature: T > 0, see `Divergence`.
        scale_by_temperature: Multiply by T².
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: If `weight` is not inside (0, 1).
    """

    def __init__(
        self,
        weight: float = 0.5,
        temperature: float = 1.0,
        scale_by_temperature: bool = False,
        reduction: Reduction = "mean",
    ) -> None:
        _check_weight("weight", weight)
        super().__init__(temperature, scale_by_temperature, reduction)
        self.weight = weight

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the divergence of each position, shape (..., V) to (...)."""
        return functional.jensen_shannon(log_p, log_q, self.weight)


class SkewedForwardKL(Divergence):
    """Skewed forward KL of DistiLLM; see `lightning_abkd.functional.skewed_forward_kl`.

    Ko et al. 2024, arXiv 2402.03898.

    Args:
        skew: Teacher's share of the mixture, in (0, 1).
        temperature: T > 0, see `Divergence`.
        scale_by_temperature: Multiply by T².
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: If `skew` is not inside (0, 1).
    """

    def __init__(
        self,
        skew: float = 0.1,
        temperature: float = 1.0,
        scale_by_temperature: bool = False,
        reduction: Reduction = "mean",
    ) -> None:
        _check_weight("skew", skew)
        super().__init__(temperature, scale_by_temperature, reduction)
        self.skew = skew

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the divergence of each position, shape (..., V) to (...)."""
        return functional.skewed_forward_kl(log_p, log_q, self.skew)


class SkewedReverseKL(SkewedForwardKL):
    """Skewed reverse KL of DistiLLM; see `lightning_abkd.functional.skewed_reverse_kl`.

    Ko et al. 2024, arXiv 2402.03898. Arguments as for `SkewedForwardKL`; `skew` is the student's share of the mixture.
    """

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the divergence of each position, shape (..., V) to (...)."""
        return functional.skewed_reverse_kl(log_p, log_q, self.skew)
