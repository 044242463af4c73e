"""The α-β-divergence with exponents that depend on the position."""

import math

import torch
from torch import Tensor, nn

from lightning_abkd import functional
from lightning_abkd.kernels import alpha_beta_cross_entropy_rows, alpha_beta_rows
from lightning_abkd.kernels._closed_form import closed_form
from lightning_abkd.losses._base import Reduction, check_finite
from lightning_abkd.losses._chunked import Differentiator
from lightning_abkd.losses._divergence import Divergence
from lightning_abkd.losses.divergences._family import does


class TokenRule(nn.Module):
    """Base class of what places each position between the two ends of a `TokenwiseAlphaBeta`.

    Example:
        >>> import torch
        >>> class Confidence(TokenRule):
        ...     def forward(self, log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
        ...         return log_q.amax(-1).exp()
        >>> Confidence()(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.75, 0.25]]).log())
        tensor([0.7500])
    """

    def forward(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the share of each position; it receives no gradient.

        Args:
            log_p: Teacher log-probabilities at the temperature, shape (..., V). A batch arrives in chunks of its
                counted positions, so that each is judged by itself.
            log_q: Student log-probabilities, same shape.

        Returns:
            Shares in [0, 1], shape (...).
        """
        raise NotImplementedError(f"{type(self).__name__} should define forward(self, log_p, log_q) -> Tensor.")


class TeacherUncertainty(TokenRule):
    """Entropy of the teacher over that of the uniform distribution: 0 where it is sure, 1 where it knows nothing.

    Classes at -inf are impossible: they add nothing to the entropy and are not counted in the uniform distribution.
    """

    def forward(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute H(p) / log(number of possible classes), shape (..., V) to (...)."""
        possible = torch.isfinite(log_p).sum(-1).to(log_p.dtype)
        # The entropy of a single possible class is 0, whatever it is divided by.
        largest = possible.log().clamp(min=math.log(2.0))
        entropy: Tensor = torch.special.entr(log_p.exp()).sum(-1)
        return (entropy / largest).clamp(0.0, 1.0)


class TopOneAgreement(TokenRule):
    """1 where the student's most probable class is the teacher's, 0 elsewhere."""

    def forward(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compare the most probable classes, shape (..., V) to (...)."""
        return (log_p.argmax(-1) == log_q.argmax(-1)).to(log_p.dtype)


class TokenwiseAlphaBeta(Divergence):
    """α-β-divergence whose α and β move with a share of each position: from `alpha`, `beta` at 0 to the other at 1.

    The exponents of a position are (1 - w) α + w α' and (1 - w) β + w β' with w = `rule`(log_p, log_q), constants for
    the gradient. ABKD itself (arXiv 2505.04560) keeps one pair for all tokens: this is not in the paper. All four ends
    are live 0-dim buffers, driven by the schedulers. For the divergence see
    `lightning_abkd.functional.alpha_beta_divergence`.

    Args:
        rule: Gives the share w in [0, 1] of each position.
        alpha: α at share 0, any finite number.
        beta: β at share 0, any finite number.
        other_alpha: α' at share 1, any finite number.
        other_beta: β' at share 1, any finite number.
        temperature: T > 0, see `Divergence`.
        scale_by_temperature: Multiply by T².
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: If an exponent is not finite, or on the first batch if the rule does not give one share a position.

    Example:
        >>> import torch
        >>> # reverse KL where the teacher is sure, forward KL where it is not: here it is not
        >>> loss = TokenwiseAlphaBeta(TeacherUncertainty(), alpha=0.0, beta=1.0, other_alpha=1.0, other_beta=0.0)
        >>> round(loss(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item(), 4)
        0.4338
    """

    alpha: Tensor
    beta: Tensor
    other_alpha: Tensor
    other_beta: Tensor

    def __init__(
        self,
        rule: TokenRule,
        alpha: float,
        beta: float,
        other_alpha: float,
        other_beta: float,
        temperature: float = 1.0,
        scale_by_temperature: bool = False,
        reduction: Reduction = "mean",
    ) -> None:
        ends = {"alpha": alpha, "beta": beta, "other_alpha": other_alpha, "other_beta": other_beta}
        for name, value in ends.items():
            check_finite(name, value)
        super().__init__(temperature, scale_by_temperature, reduction)
        self.rule = rule
        for name, value in ends.items():
            self.hyperparameter(name, value)

    def exponents(self, log_p: Tensor, log_q: Tensor) -> tuple[Tensor, Tensor]:
        """Give α and β of each position, shape (..., V) to (...), without a gradient."""
        with torch.no_grad():
            share = self.rule(log_p, log_q)
        if share.shape != log_p.shape[:-1]:
            raise ValueError(
                f"{type(self.rule).__name__} should give one share a position, shape {tuple(log_p.shape[:-1])}. "
                f"Found shape {tuple(share.shape)}."
            )
        alpha = (1.0 - share) * self.alpha + share * self.other_alpha
        return alpha, (1.0 - share) * self.beta + share * self.other_beta

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the divergence of each position, shape (..., V) to (...)."""
        return functional.alpha_beta_divergence(log_p, log_q, *self.exponents(log_p, log_q))

    def differentiator(self, scale: float | Tensor = 1.0) -> Differentiator:
        """Use the fused form on a processor in float32; rows that it cannot do take the plain one."""

        def differentiate(student_logits: Tensor, teacher_logits: Tensor, gradient: Tensor) -> Tensor:
            log_p, log_q = (torch.log_softmax(x / self.temperature, -1) for x in (teacher_logits, student_logits))
            exponents = self.exponents(log_p, log_q)
            processor = log_q.device.type == "cpu"
            if processor and does("fused", log_q, log_p):
                values = alpha_beta_rows(log_p, log_q, *exponents, gradient, scale / self.temperature)
                if values is not None:
                    return values
            if not processor and does("triton", log_q, log_p):
                rows = student_logits, teacher_logits, gradient
                return alpha_beta_cross_entropy_rows(*rows, *exponents, self.temperature, scale)[0]
            values, slope = closed_form(student_logits, teacher_logits, *exponents, self.temperature)
            torch.mul(slope, scale, out=gradient)
            return values

        return differentiate
