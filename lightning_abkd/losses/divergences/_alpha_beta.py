"""The α-β-divergence and the lines and points of its family, as losses."""

import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn

from lightning_abkd import functional
from lightning_abkd._utils import check_finite
from lightning_abkd.kernels import BackendName
from lightning_abkd.losses._base import Reduction
from lightning_abkd.losses._divergence import Divergence
from lightning_abkd.losses.divergences._family import ConstantMember


class AlphaBetaDivergence(ConstantMember):
    """α-β-divergence of the student from the teacher; formula in `lightning_abkd.functional.alpha_beta_divergence`.

    Paper: Wang et al., "ABKD", ICML 2025, arXiv 2505.04560. `alpha` and `beta` are live 0-dim buffers: a callback
    changes them in place, checkpoints keep them, and no compiled code depends on their values.

    At negative exponents values may be +inf, and components of a gradient ±inf, but never NaN unless a logit is; see
    `lightning_abkd.functional.alpha_beta_value_and_gradients`.

    Args:
        alpha: α, any finite number. Hardness-concentration: the smaller, the more large errors count. The paper uses
            0.2 for language models and 0.8 for CIFAR-100.
        beta: β, any finite number. Confidence-concentration: the larger, the more only those classes count that the
            student believes in. The paper uses 0.7 for language models and 0.3 for CIFAR-100.
        temperature: T > 0, see `Divergence`; the paper uses 4 for CIFAR-100 and 1 for language models.
        scale_by_temperature: Multiply by T²; the paper does not.
        reduction: "mean", "sum" or "none".
        backend: What computes it; all give the same numbers up to rounding. "auto" takes the fastest for the logits at
            hand and logs its choice: "fused" (CPUs, float32), "triton" (GPUs, float32 arithmetic), else "eager" (plain
            torch, anywhere, any precision). "compile" is the plain form, compiled by torch.compile.

    Raises:
        ValueError: If `alpha` or `beta` is not finite, the backend is unknown or, on the first batch, if the backend
            does not support such logits.

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
        backend: BackendName = "auto",
    ) -> None:
        check_finite("alpha", alpha)
        check_finite("beta", beta)
        super().__init__(temperature, scale_by_temperature, reduction, backend)
        self.hyperparameter("alpha", alpha)
        self.hyperparameter("beta", beta)

    def exponents(self) -> tuple[Tensor, Tensor]:
        """Return the live α and β."""
        return self.alpha, self.beta


class _NamedPoint(AlphaBetaDivergence):
    """A point (α, β) that has a name of its own and stays where it is; arguments as in `AlphaBetaDivergence`.

    The buffers `alpha` and `beta` are there for checkpoints, which have always held them, and for the metrics.
    """

    point: ClassVar[Mapping[str, float]]

    def __init__(
        self,
        temperature: float = 1.0,
        scale_by_temperature: bool = False,
        reduction: Reduction = "mean",
        backend: BackendName = "auto",
    ) -> None:
        numbers = (self.point["alpha"], self.point["beta"], temperature)
        super().__init__(*numbers, scale_by_temperature, reduction, backend)
        self.register_load_state_dict_post_hook(_stay_at_point)

    @property
    def constants(self) -> frozenset[str]:
        """α and β."""
        return frozenset(self.point)


def _stay_at_point(loss: nn.Module, _: object) -> None:
    """Undo what a checkpoint says of α and β, and warn if it says something else."""
    if not isinstance(loss, _NamedPoint):
        return
    for name, value in loss.point.items():
        buffer = loss.get_buffer(name)
        found = buffer.item()
        if found != value:
            buffer.fill_(value)
            warnings.warn(
                f"{type(loss).__name__} stays at {name} = {value:g}. The checkpoint holds {name} = {found:g}. "
                "Take AlphaBetaDivergence to go on from there.",
                stacklevel=2,
            )


class ForwardKL(_NamedPoint):
    """Forward Kullback-Leibler divergence KL(teacher‖student), the point (1, 0): classical distillation.

    Paper: Hinton et al. 2015, arXiv 1503.02531, who scale by T². Formula in `lightning_abkd.functional.forward_kl`. Its
    α and β are constants; `AlphaBetaDivergence(1.0, 0.0)` is the same divergence with live ones.

    Args:
        temperature, scale_by_temperature, reduction, backend: See `AlphaBetaDivergence`.

    Example:
        >>> import torch
        >>> round(ForwardKL()(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item(), 4)
        0.4338
    """

    point = MappingProxyType({"alpha": 1.0, "beta": 0.0})


class ReverseKL(_NamedPoint):
    """Reverse Kullback-Leibler divergence KL(student‖teacher), the point (0, 1).

    Paper: Gu et al. 2024 (MiniLLM), arXiv 2306.08543. Formula in `lightning_abkd.functional.reverse_kl`. Its α and β
    are constants; `AlphaBetaDivergence(0.0, 1.0)` is the same divergence with live ones.

    Args:
        temperature, scale_by_temperature, reduction, backend: See `AlphaBetaDivergence`.

    Example:
        >>> import torch
        >>> round(ReverseKL()(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item(), 4)
        0.3278
    """

    point = MappingProxyType({"alpha": 0.0, "beta": 1.0})


class AlphaDivergence(ConstantMember):
    """Amari's α-divergence: the line (α, 1 - α), from reverse KL at α = 0 to forward KL at α = 1.

    Formula in `lightning_abkd.functional.alpha_divergence`.

    Args:
        alpha: α, any finite number; live.
        temperature, scale_by_temperature, reduction, backend: See `AlphaBetaDivergence`.

    Raises:
        ValueError: If `alpha` is not finite.

    Example:
        >>> round(AlphaDivergence()(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item(), 4)
        0.369
    """

    alpha: Tensor

    def __init__(
        self,
        alpha: float = 0.5,
        temperature: float = 1.0,
        scale_by_temperature: bool = False,
        reduction: Reduction = "mean",
        backend: BackendName = "auto",
    ) -> None:
        check_finite("alpha", alpha)
        super().__init__(temperature, scale_by_temperature, reduction, backend)
        self.hyperparameter("alpha", alpha)

    def exponents(self) -> tuple[Tensor, Tensor]:
        """Return α and 1 - α."""
        return self.alpha, 1.0 - self.alpha


class BetaDivergence(ConstantMember):
    """β-divergence (Basu et al. 1998): the line (1, β), forward KL at β = 0.

    Formula in `lightning_abkd.functional.beta_divergence`.

    Args:
        beta: β, any finite number; live.
        temperature, scale_by_temperature, reduction, backend: See `AlphaBetaDivergence`.

    Raises:
        ValueError: If `beta` is not finite.

    Example:
        >>> round(BetaDivergence()(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item(), 4)
        0.145
    """

    beta: Tensor

    def __init__(
        self,
        beta: float = 1.0,
        temperature: float = 1.0,
        scale_by_temperature: bool = False,
        reduction: Reduction = "mean",
        backend: BackendName = "auto",
    ) -> None:
        check_finite("beta", beta)
        super().__init__(temperature, scale_by_temperature, reduction, backend)
        self.hyperparameter("beta", beta)

    def exponents(self) -> tuple[Tensor, Tensor]:
        """Return 1 and β."""
        return torch.ones_like(self.beta), self.beta


class Hellinger(Divergence):
    """Squared Hellinger distance, a quarter of the point (½, ½); formula in `lightning_abkd.functional.hellinger`.

    Arguments as in `Divergence`.

    Example:
        >>> round(Hellinger()(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item(), 4)
        0.0922
    """

    is_sum_over_classes = True

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the distance of each position, shape (..., V) to (...)."""
        return functional.hellinger(log_p, log_q)
