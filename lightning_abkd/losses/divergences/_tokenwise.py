"""The α-β-divergence with exponents that depend on the position."""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from lightning_abkd import functional
from lightning_abkd._utils import check_finite
from lightning_abkd.kernels import BackendName, LogitRows
from lightning_abkd.losses._base import Reduction
from lightning_abkd.losses.divergences._family import FamilyMember


class TokenRule(nn.Module):
    """Base class of rules that place each position between the two pairs (α, β) of a `TokenwiseAlphaBeta`.

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
                counted positions, so the share of a position must not depend on other positions.
            log_q: Student log-probabilities, same shape.

        Returns:
            Shares in [0, 1], shape (...).
        """
        raise NotImplementedError(f"{type(self).__name__} should define forward(self, log_p, log_q) -> Tensor.")


class TeacherUncertainty(TokenRule):
    r"""Entropy of the teacher over that of the uniform distribution: 0 where it is certain, 1 where it is uniform.

    .. math::

        w = \frac{-\sum_k p_k \log p_k}{\log |\{k : p_k > 0\}|}

    where:

    - w -> the share of a position, in [0, 1].
    - p -> exp of `log_p`: the teacher's distribution over the classes k.

    Classes at -inf are impossible: they add nothing to the entropy and do not count in the uniform distribution.

    Example:
        >>> rule = TeacherUncertainty()
        >>> rule(torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log(), torch.tensor([[0.5, 0.5], [0.5, 0.5]]).log())
        tensor([1.0000, 0.4690])
    """

    def forward(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute H(p) / log(number of possible classes), shape (..., V) to (...)."""
        possible = torch.isfinite(log_p).sum(-1).to(log_p.dtype)
        # The entropy of a single possible class is 0, whatever it is divided by.
        largest = possible.log().clamp(min=math.log(2.0))
        entropy: Tensor = torch.special.entr(log_p.exp()).sum(-1)
        return (entropy / largest).clamp(0.0, 1.0)


class TopOneAgreement(TokenRule):
    r"""1 where the student's most probable class is the teacher's, 0 elsewhere.

    .. math::

        w = \big[ \arg\max_k p_k = \arg\max_k q_k \big]

    where:

    - w -> the share of a position: 0 or 1.
    - p, q -> exp of `log_p`, `log_q`: distributions over the classes k.

    Example:
        >>> rule = TopOneAgreement()
        >>> rule(torch.tensor([[0.6, 0.4], [0.9, 0.1]]).log(), torch.tensor([[0.3, 0.7], [0.5, 0.5]]).log())
        tensor([0., 1.])
    """

    def forward(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compare the most probable classes, shape (..., V) to (...)."""
        return (log_p.argmax(-1) == log_q.argmax(-1)).to(log_p.dtype)


class TokenwiseAlphaBeta(FamilyMember):
    r"""α-β-divergence with its own exponents at every position: a rule gives w in [0, 1], between two pairs (α, β).

    .. math::

        D_{\alpha_w, \beta_w}(p\|q), \qquad \alpha_w = (1 - w) \, \alpha + w \, \alpha', \qquad
        \beta_w = (1 - w) \, \beta + w \, \beta'

    where:

    - D -> the divergence of ABKD (Wang et al., ICML 2025, arXiv 2505.04560), see
      `lightning_abkd.functional.alpha_beta_divergence`. The paper keeps one pair for all tokens: this is not in it.
    - w -> `rule` of teacher and student at the position, a constant for the gradient.
    - α, β, α', β' -> `alpha`, `beta`, `other_alpha`, `other_beta`: any finite numbers; live, for schedulers.

    Args:
        rule: Computes the share w in [0, 1] of each position.
        alpha: α at share 0.
        beta: β at share 0.
        other_alpha: α' at share 1.
        other_beta: β' at share 1.
        temperature, scale_by_temperature, reduction: See `Divergence`.
        backend: What computes values and gradient in training; see `AlphaBetaDivergence`.

    Raises:
        ValueError: If an exponent is not finite or, on the first batch, if the rule does not return one share per
            position.

    Example:
        >>> import torch
        >>> # reverse KL where the teacher is certain, forward KL where it is not: here it is not
        >>> loss = TokenwiseAlphaBeta(TeacherUncertainty(), alpha=0.0, beta=1.0, other_alpha=1.0, other_beta=0.0)
        >>> round(loss(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item(), 4)
        0.4338
    """

    alpha: Tensor
    beta: Tensor
    other_alpha: Tensor
    other_beta: Tensor
    _RENAMED: ClassVar[Mapping[str, str]] = {**FamilyMember._RENAMED, "exponents": "row_exponents"}

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
        backend: BackendName = "auto",
    ) -> None:
        ends = {"alpha": alpha, "beta": beta, "other_alpha": other_alpha, "other_beta": other_beta}
        for name, value in ends.items():
            check_finite(name, value)
        super().__init__(temperature, scale_by_temperature, reduction, backend)
        self.rule = rule
        for name, value in ends.items():
            self.hyperparameter(name, value)

    def row_exponents(self, log_p: Tensor, log_q: Tensor) -> tuple[Tensor, Tensor]:
        """Compute α and β of each position, shape (..., V) to (...), without a gradient."""
        with torch.no_grad():
            share = self.rule(log_p, log_q)
        if share.shape != log_p.shape[:-1]:
            raise ValueError(
                f"{type(self.rule).__name__} should return one share per position, shape {tuple(log_p.shape[:-1])}. "
                f"Found shape {tuple(share.shape)}."
            )
        alpha = (1.0 - share) * self.alpha + share * self.other_alpha
        return alpha, (1.0 - share) * self.beta + share * self.other_beta

    def exponents_of(self, rows: LogitRows) -> tuple[Tensor, Tensor]:
        """Compute α and β of rows, each of shape (n,)."""
        return self.row_exponents(rows.log_p, rows.log_q)

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the divergence of each position, shape (..., V) to (...)."""
        return functional.alpha_beta_divergence(log_p, log_q, *self.row_exponents(log_p, log_q))
