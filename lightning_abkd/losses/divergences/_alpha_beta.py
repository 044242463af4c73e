"""The α-β-divergence and the lines and points of its family, as losses."""

import torch
from torch import Tensor

from lightning_abkd import functional
from lightning_abkd.losses._base import Reduction, check_finite
from lightning_abkd.losses._divergence import Divergence
from lightning_abkd.losses.divergences._family import Backend, FamilyMember


class AlphaBetaDivergence(FamilyMember):
    """α-β-divergence of the student from the teacher; see `lightning_abkd.functional.alpha_beta_divergence`.

    Wang et al., "ABKD", ICML 2025, arXiv 2505.04560. `alpha` and `beta` are live 0-dim buffers: a callback changes them
    in place, checkpoints keep them, and no compiled code depends on their values.

    Args:
        alpha: α, any finite number. Hardness-concentration: the smaller, the more large errors count. The paper uses
            0.2 for language models and 0.8 for CIFAR-100.
        beta: β, any finite number. Confidence-concentration: the larger, the more only those classes count that the
            student believes in. The paper uses 0.7 for language models and 0.3 for CIFAR-100.
        temperature: T > 0, see `Divergence`; the paper uses 4 for CIFAR-100 and 1 for language models.
        scale_by_temperature: Multiply by T²; the paper does not.
        reduction: "mean", "sum" or "none".
        backend: What computes it; all give the same numbers. "auto" takes the fastest for the logits at hand and logs
            its choice: "fused" (processors, float32), "triton" (GPUs, float32 arithmetic), else "eager" (plain torch,
            anywhere, any precision). "compile" has torch.compile make one program of the plain form.

    Raises:
        ValueError: If `alpha` or `beta` is not finite.

    Example:
        >>> import torch
        >>> loss = AlphaBetaDivergence(alpha=0.2, beta=0.7)
        >>> student, teacher = torch.tensor([[2.0, 0.0]], requires_grad=True), torch.tensor([[0.0, 0.0]])
        >>> round(loss(student, teacher).item(), 4)
        0.3836
    """

    alpha: Tensor
    beta: Tensor

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        temperature: float = 1.0,
        scale_by_temperature: bool = False,
        reduction: Reduction = "mean",
        backend: Backend = "auto",
    ) -> None:
        check_finite("alpha", alpha)
        check_finite("beta", beta)
        super().__init__(temperature, scale_by_temperature, reduction, backend)
        self.hyperparameter("alpha", alpha)
        self.hyperparameter("beta", beta)

    def exponents(self) -> tuple[Tensor, Tensor]:
        """Give the live α and β."""
        return self.alpha, self.beta


class ForwardKL(AlphaBetaDivergence):
    """Forward Kullback-Leibler divergence KL(teacher‖student), the point (1, 0): classical distillation.

    Hinton et al. 2015, arXiv 1503.02531, who scale by T². Being the α-β-divergence, it has live `alpha` and `beta` too.

    Args:
        temperature: T > 0, see `Divergence`.
        scale_by_temperature: Multiply by T².
        reduction: "mean", "sum" or "none".
        backend: As in `AlphaBetaDivergence`.

    Example:
        >>> import torch
        >>> round(ForwardKL()(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item(), 4)
        0.4338
    """

    def __init__(
        self,
        temperature: float = 1.0,
        scale_by_temperature: bool = False,
        reduction: Reduction = "mean",
        backend: Backend = "auto",
    ) -> None:
        super().__init__(1.0, 0.0, temperature, scale_by_temperature, reduction, backend)


class ReverseKL(AlphaBetaDivergence):
    """Reverse Kullback-Leibler divergence KL(student‖teacher), the point (0, 1).

    Gu et al. 2024 (MiniLLM), arXiv 2306.08543. Being the α-β-divergence, it has live `alpha` and `beta` too.

    Args:
        temperature: T > 0, see `Divergence`.
        scale_by_temperature: Multiply by T².
        reduction: "mean", "sum" or "none".
        backend: As in `AlphaBetaDivergence`.

    Example:
        >>> import torch
        >>> round(ReverseKL()(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item(), 4)
        0.3278
    """

    def __init__(
        self,
        temperature: float = 1.0,
        scale_by_temperature: bool = False,
        reduction: Reduction = "mean",
        backend: Backend = "auto",
    ) -> None:
        super().__init__(0.0, 1.0, temperature, scale_by_temperature, reduction, backend)


class AlphaDivergence(FamilyMember):
    """Amari's α-divergence: the line (α, 1 - α), from reverse KL at α = 0 to forward KL at α = 1; `alpha` is live.

    Args:
        alpha: α, any finite number.
        temperature: T > 0, see `Divergence`.
        scale_by_temperature: Multiply by T².
        reduction: "mean", "sum" or "none".
        backend: As in `AlphaBetaDivergence`.

    Raises:
        ValueError: If `alpha` is not finite.
    """

    alpha: Tensor

    def __init__(
        self,
        alpha: float = 0.5,
        temperature: float = 1.0,
        scale_by_temperature: bool = False,
        reduction: Reduction = "mean",
        backend: Backend = "auto",
    ) -> None:
        check_finite("alpha", alpha)
        super().__init__(temperature, scale_by_temperature, reduction, backend)
        self.hyperparameter("alpha", alpha)

    def exponents(self) -> tuple[Tensor, Tensor]:
        """Give α and 1 - α."""
        return self.alpha, 1.0 - self.alpha


class BetaDivergence(FamilyMember):
    """β-divergence (Basu et al. 1998): the line (1, β), forward KL at β = 0; `beta` is live.

    Args:
        beta: β, any finite number.
        temperature: T > 0, see `Divergence`.
        scale_by_temperature: Multiply by T².
        reduction: "mean", "sum" or "none".
        backend: As in `AlphaBetaDivergence`.

    Raises:
        ValueError: If `beta` is not finite.
    """

    beta: Tensor

    def __init__(
        self,
        beta: float = 1.0,
        temperature: float = 1.0,
        scale_by_temperature: bool = False,
        reduction: Reduction = "mean",
        backend: Backend = "auto",
    ) -> None:
        check_finite("beta", beta)
        super().__init__(temperature, scale_by_temperature, reduction, backend)
        self.hyperparameter("beta", beta)

    def exponents(self) -> tuple[Tensor, Tensor]:
        """Give 1 and β."""
        return torch.ones_like(self.beta), self.beta


class Hellinger(Divergence):
    """Squared Hellinger distance, a quarter of the point (½, ½); see `lightning_abkd.functional.hellinger`."""

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the distance of each position, shape (..., V) to (...)."""
        return functional.hellinger(log_p, log_q)
