"""On which classes the gradient of the α-β-divergence concentrates: the two effects of ABKD, measured."""

import torch
from torch import Tensor

from lightning_abkd.metrics._mean import PositionMean, rowwise

# Nats. Lower log-probabilities count as this one, so that a class at −∞ on one side gives a large number and no NaN.
_FLOOR = -1e4


class _Concentration(PositionMean):
    """Both effects in one state: computing the weights is most of the work, and a `MetricCollection` may share it."""

    higher_is_better = None
    value_shape = (2,)
    # Index of the effect that the class returns.
    _effect: int

    def _state_name(self) -> str:
        return "concentration"

    def update(
        self,
        student_logits: Tensor,
        teacher_logits: Tensor,
        alpha: float | Tensor,
        beta: float | Tensor,
        temperature: float | Tensor = 1.0,
        mask: Tensor | None = None,
    ) -> None:
        """Add a batch.

        Args:
            student_logits: Shape (…, V).
            teacher_logits: Shape (…, V).
            alpha: α of the divergence, a number or a tensor that broadcasts against the leading shape (…).
            beta: β of the divergence, a number or such a tensor.
            temperature: Positive, a number or such a tensor.
            mask: Shape (…), True where a position counts; all count by default.

        Raises:
            ValueError: If the shapes do not fit.
        """
        columns = (alpha, beta, temperature)
        self.accumulate(rowwise(self._measure, student_logits, teacher_logits, columns=columns), mask)

    def _measure(self, student: Tensor, teacher: Tensor, alpha: Tensor, beta: Tensor, temperature: Tensor) -> Tensor:
        log_q = (student / temperature).log_softmax(-1).clamp_min(_FLOOR)
        log_p = (teacher / temperature).log_softmax(-1).clamp_min(_FLOOR)
        weight = _gradient_weight(log_p, log_q, alpha, beta)
        return torch.stack([(weight * x).sum(-1) for x in ((log_p - log_q).abs(), log_q.exp())], -1)

    def compute(self) -> Tensor:
        """Return the mean over all counted positions, shape (); NaN while there is none."""
        return super().compute()[self._effect]


class HardnessConcentration(_Concentration):
    r"""Mean log-ratio error of the classes under the gradient's weight, in nats.

    ABKD (arXiv 2505.04560) explains α by *hardness-concentration*: the smaller α, the more the gradient of the
    divergence on class k is drawn to classes with a large error between student and teacher. We measure, averaged over
    the counted positions,

    .. math::

        \sum_k w_k \, |\log p_k - \log q_k|, \qquad w_k = |g_k| / \sum_j |g_j|, \qquad
        |g_k| = q_k^\beta \, |p_k^\alpha - q_k^\alpha| / |\alpha|

    where:

    - p, q -> softmax of `teacher_logits` / `temperature` and of `student_logits` / `temperature`.
    - g: slope of the divergence, see `lightning_abkd.functional.alpha_beta_slope`.
    - α -> `alpha`: any real number; α = 0 is the limit :math:`|g_k| = q_k^\beta |\log p_k - \log q_k|`.
    - β -> `beta`: any real number.

    The paper does not publish how it normalises the effects that it shows: this measure is ours.

    For a student near its teacher it grows as α falls. Far from the teacher it need not grow: a large α draws the
    gradient to large ratios too, but only to those with p ≫ q.

    A position with p = q contributes 0, as does a class at −∞ on both sides. Log-probabilities below −10⁴ nats count
    as −10⁴, so a class at −∞ on one side is an error of at most 10⁴ nats instead of ∞.

    Example:
        >>> import torch
        >>> hardness = HardnessConcentration()
        >>> hardness.update(torch.zeros(1, 2), torch.tensor([[3.0, 1.0]]).log(), alpha=1.0, beta=0.0)
        >>> hardness.compute()  # p = (3/4, 1/4), q = (1/2, 1/2): equal weights on log 3/2 and log 2
        tensor(0.5493)
    """

    _effect = 0


class ConfidenceConcentration(_Concentration):
    r"""Mean confidence of the student in the classes under the gradient's weight, between 0 and 1.

    ABKD (arXiv 2505.04560) explains β by *confidence-concentration*: the larger β, the more only those classes count
    that the student already believes in. We measure, averaged over the counted positions,

    .. math::

        \sum_k w_k \, q_k

    where:

    - q -> softmax of `student_logits` / `temperature`.
    - w: the weights of `HardnessConcentration`, whose symbols and conventions hold here too.

    It grows with β. The paper does not publish its normalisation either: this measure is ours too.

    Example:
        >>> import torch
        >>> confidence = ConfidenceConcentration()
        >>> confidence.update(torch.tensor([[3.0, 1.0]]).log(), torch.zeros(1, 2), alpha=1.0, beta=1.0)
        >>> confidence.compute()  # q = (3/4, 1/4), |p - q| equal: weights (3/4, 1/4), 9/16 + 1/16
        tensor(0.6250)
    """

    _effect = 1


def _gradient_weight(log_p: Tensor, log_q: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Compute w of shape (N, V), zero where p = q on the whole row.

    With d = log p − log q and φ(t) = (1 − e^(−t))/t, for α of either sign and for α = 0
    |p^α − q^α|/|α| = exp(max(α log p, α log q)) · |d| · φ(|α d|); the normalisation is a softmax of its logarithm.
    """
    d = (log_p - log_q).abs()
    t = (alpha * d).abs().clamp_min(torch.finfo(d.dtype).tiny)
    log_phi = (-torch.expm1(-t) / t).log()
    log_g = beta * log_q + torch.maximum(alpha * log_p, alpha * log_q) + d.log() + log_phi
    return torch.where((d != 0).any(-1, keepdim=True), log_g.softmax(-1), torch.zeros_like(d))
