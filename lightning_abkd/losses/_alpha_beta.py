"""The α-β-divergence and the lines and points of its family, as losses."""

import torch
from torch import Tensor

from lightning_abkd import functional
from lightning_abkd.kernels import AlphaBetaRows
from lightning_abkd.losses._base import Reduction, check_finite
from lightning_abkd.losses._chunked import Differentiator
from lightning_abkd.losses._divergence import Divergence


class AlphaBetaDivergence(Divergence):
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
    ) -> None:
        check_finite("alpha", alpha)
        check_finite("beta", beta)
        super().__init__(temperature, scale_by_temperature, reduction)
        self.hyperparameter("alpha", alpha)
        self.hyperparameter("beta", beta)
        self._rows: tuple[tuple[float, ...], AlphaBetaRows] | None = None

    def __getstate__(self) -> dict[str, object]:
        """Leave the fused rows out of copies and files: they hold buffers."""
        return vars(self) | {"_rows": None}

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the divergence of each position, shape (..., V) to (...)."""
        return functional.alpha_beta_divergence(log_p, log_q, self.alpha, self.beta)

    def differentiator(self, scale: float | Tensor = 1.0) -> Differentiator:
        """Use the fused rows on a processor in float32; rows that they cannot do take the general form."""
        general = super().differentiator(scale)
        if self.alpha.device.type != "cpu":
            return general
        fused, factor = self._fused(), float(scale)

        def differentiate(student_logits: Tensor, teacher_logits: Tensor, gradient: Tensor) -> Tensor:
            if student_logits.dtype == teacher_logits.dtype == torch.float32:
                values = fused(student_logits, teacher_logits, gradient, factor)
                if values is not None:
                    return values
            return general(student_logits, teacher_logits, gradient)

        return differentiate

    def _fused(self) -> AlphaBetaRows:
        """Give the rows of the numbers at hand; their buffers stay from batch to batch."""
        numbers = (self.alpha.item(), self.beta.item(), self.temperature.item())
        if self._rows is None or self._rows[0] != numbers:
            self._rows = numbers, AlphaBetaRows(*numbers, each=self.reduction == "none")
        return self._rows[1]

    def _values(self, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
        single = student_logits.dtype == teacher_logits.dtype == torch.float32 and self.alpha.device.type == "cpu"
        if single and not (torch.is_grad_enabled() or torch.compiler.is_compiling()):
            # Training uses the fused rows' buffers too.
            with torch.inference_mode(False), torch.no_grad():
                values = self._fused()(student_logits, teacher_logits)
            if values is not None:
                return values
        return super()._values(student_logits, teacher_logits)


class ForwardKL(AlphaBetaDivergence):
    """Forward Kullback-Leibler divergence KL(teacher‖student), the point (1, 0): classical distillation.

    Hinton et al. 2015, arXiv 1503.02531, who scale by T². Being the α-β-divergence, it has live `alpha` and `beta` too.

    Args:
        temperature: T > 0, see `Divergence`.
        scale_by_temperature: Multiply by T².
        reduction: "mean", "sum" or "none".

    Example:
        >>> import torch
        >>> round(ForwardKL()(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item(), 4)
        0.4338
    """

    def __init__(
        self, temperature: float = 1.0, scale_by_temperature: bool = False, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(1.0, 0.0, temperature, scale_by_temperature, reduction)


class ReverseKL(AlphaBetaDivergence):
    """Reverse Kullback-Leibler divergence KL(student‖teacher), the point (0, 1).

    Gu et al. 2024 (MiniLLM), arXiv 2306.08543. Being the α-β-divergence, it has live `alpha` and `beta` too.

    Args:
        temperature: T > 0, see `Divergence`.
        scale_by_temperature: Multiply by T².
        reduction: "mean", "sum" or "none".

    Example:
        >>> import torch
        >>> round(ReverseKL()(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item(), 4)
        0.3278
    """

    def __init__(
        self, temperature: float = 1.0, scale_by_temperature: bool = False, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(0.0, 1.0, temperature, scale_by_temperature, reduction)


class AlphaDivergence(Divergence):
    """Amari's α-divergence: the line (α, 1 - α), from reverse KL at α = 0 to forward KL at α = 1; `alpha` is live.

    Args:
        alpha: α, any finite number.
        temperature: T > 0, see `Divergence`.
        scale_by_temperature: Multiply by T².
        reduction: "mean", "sum" or "none".

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
    ) -> None:
        check_finite("alpha", alpha)
        super().__init__(temperature, scale_by_temperature, reduction)
        self.hyperparameter("alpha", alpha)

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the divergence of each position, shape (..., V) to (...)."""
        return functional.alpha_divergence(log_p, log_q, self.alpha)


class BetaDivergence(Divergence):
    """β-divergence (Basu et al. 1998): the line (1, β), forward KL at β = 0; `beta` is live.

    Args:
        beta: β, any finite number.
        temperature: T > 0, see `Divergence`.
        scale_by_temperature: Multiply by T².
        reduction: "mean", "sum" or "none".

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
    ) -> None:
        check_finite("beta", beta)
        super().__init__(temperature, scale_by_temperature, reduction)
        self.hyperparameter("beta", beta)

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the divergence of each position, shape (..., V) to (...)."""
        return functional.beta_divergence(log_p, log_q, self.beta)


class Hellinger(Divergence):
    """Squared Hellinger distance, a quarter of the point (½, ½); see `lightning_abkd.functional.hellinger`."""

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the distance of each position, shape (..., V) to (...)."""
        return functional.hellinger(log_p, log_q)
