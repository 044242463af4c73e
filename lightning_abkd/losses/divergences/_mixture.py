"""Losses of both KL directions, or from a mixture of teacher and student."""

from torch import Tensor

from lightning_abkd import functional
from lightning_abkd._utils import check_interval
from lightning_abkd.losses._base import Reduction
from lightning_abkd.losses._divergence import Divergence


class SymmetricKL(Divergence):
    """Weighted sum (1 - λ) KL(teacher‖student) + λ KL(student‖teacher).

    Paper: Jeffreys 1946; ABKD (arXiv 2505.04560) compares with it as WSD. Formula in
    `lightning_abkd.functional.symmetric_kl`.

    Args:
        weight: λ, share of the reverse direction, in [0, 1]; live. ABKD's released code uses 0.5.
        temperature, scale_by_temperature, reduction: See `Divergence`.

    Raises:
        ValueError: If `weight` is outside [0, 1].

    Example:
        >>> import torch
        >>> round(SymmetricKL()(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item(), 4)
        0.3808
    """

    is_sum_over_classes = True

    weight: Tensor

    def __init__(
        self,
        weight: float = 0.5,
        temperature: float = 1.0,
        scale_by_temperature: bool = False,
        reduction: Reduction = "mean",
    ) -> None:
        check_interval("weight", weight, "[0, 1]")
        super().__init__(temperature, scale_by_temperature, reduction)
        self.hyperparameter("weight", weight)

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the divergence of each position, shape (..., V) to (...)."""
        return functional.symmetric_kl(log_p, log_q, self.weight)


class JensenShannon(Divergence):
    """Generalised Jensen-Shannon divergence; formula in `lightning_abkd.functional.jensen_shannon`.

    Paper: Agarwal et al. 2024 (GKD), arXiv 2306.13649.

    Args:
        weight: Teacher's share of the mixture, in (0, 1); the paper's β, which tries 0.1, 0.5 and 0.9.
        temperature, scale_by_temperature, reduction: See `Divergence`.

    Raises:
        ValueError: If `weight` is not inside (0, 1).

    Example:
        >>> import torch
        >>> round(JensenShannon()(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item(), 4)
        0.0895
    """

    is_sum_over_classes = True

    def __init__(
        self,
        weight: float = 0.5,
        temperature: float = 1.0,
        scale_by_temperature: bool = False,
        reduction: Reduction = "mean",
    ) -> None:
        check_interval("weight", weight, "(0, 1)", "Use `ForwardKL` or `ReverseKL` for one direction alone.")
        super().__init__(temperature, scale_by_temperature, reduction)
        self.weight = weight

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the divergence of each position, shape (..., V) to (...)."""
        return functional.jensen_shannon(log_p, log_q, self.weight)


class SkewedForwardKL(Divergence):
    """Skewed forward KL of DistiLLM; formula in `lightning_abkd.functional.skewed_forward_kl`.

    Paper: Ko et al. 2024, arXiv 2402.03898.

    Args:
        skew: Teacher's share of the mixture, in (0, 1); the paper uses 0.1.
        temperature, scale_by_temperature, reduction: See `Divergence`.

    Raises:
        ValueError: If `skew` is not inside (0, 1).

    Example:
        >>> import torch
        >>> round(SkewedForwardKL()(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item(), 4)
        0.3173
    """

    is_sum_over_classes = True

    def __init__(
        self,
        skew: float = 0.1,
        temperature: float = 1.0,
        scale_by_temperature: bool = False,
        reduction: Reduction = "mean",
    ) -> None:
        check_interval("skew", skew, "(0, 1)", "Use `ForwardKL` or `ReverseKL` for no mixture.")
        super().__init__(temperature, scale_by_temperature, reduction)
        self.skew = skew

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the divergence of each position, shape (..., V) to (...)."""
        return functional.skewed_forward_kl(log_p, log_q, self.skew)


class SkewedReverseKL(SkewedForwardKL):
    """Skewed reverse KL of DistiLLM; formula in `lightning_abkd.functional.skewed_reverse_kl`.

    Paper: Ko et al. 2024, arXiv 2402.03898. Arguments as in `SkewedForwardKL`; `skew` is the student's share of the
    mixture.

    Example:
        >>> import torch
        >>> round(SkewedReverseKL()(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item(), 4)
        0.2726
    """

    is_sum_over_classes = True

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the divergence of each position, shape (..., V) to (...)."""
        return functional.skewed_reverse_kl(log_p, log_q, self.skew)
