"""The named members of the α-β family."""

from torch import Tensor

from lightning_abkd._utils import check_interval
from lightning_abkd.functional._alpha_beta import alpha_beta_divergence
from lightning_abkd.functional._numerics import weighted


def forward_kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    r"""Compute the Kullback-Leibler divergence of the student q from the teacher p, the point (1, 0) of the family.

    Paper: Hinton et al. 2015, arXiv 1503.02531.

    .. math::

        \mathrm{KL}(p\|q) = \sum_k p_k \log \frac{p_k}{q_k} = D_{1,0}(p\|q)

    where:

    - p, q -> exp of `log_p`, `log_q`: distributions over the classes k.

    Args:
        log_p: Teacher log-probabilities, shape (..., V).
        log_q: Student log-probabilities, shape (..., V).

    Returns:
        Divergence in nats, shape (...), +inf where the student alone excludes a class. Dtypes and derivatives as in
        `alpha_beta_divergence`.

    Raises:
        ValueError: If the shapes of `log_p` and `log_q` differ.

    Example:
        >>> import torch
        >>> round(forward_kl(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()).item(), 4)
        0.5108
    """
    return alpha_beta_divergence(log_p, log_q, 1.0, 0.0)


def reverse_kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    r"""Compute the reverse Kullback-Leibler divergence, the point (0, 1) of the family.

    Paper: Gu et al. 2024 (MiniLLM), arXiv 2306.08543.

    .. math::

        \mathrm{KL}(q\|p) = \sum_k q_k \log \frac{q_k}{p_k} = D_{0,1}(p\|q)

    where:

    - p, q -> exp of `log_p`, `log_q`: distributions over the classes k.

    Args:
        log_p: Teacher log-probabilities, shape (..., V).
        log_q: Student log-probabilities, shape (..., V).

    Returns:
        Divergence in nats, shape (...), +inf where the teacher alone excludes a class. Dtypes and derivatives as in
        `alpha_beta_divergence`.

    Raises:
        ValueError: If the shapes of `log_p` and `log_q` differ.

    Example:
        >>> import torch
        >>> round(reverse_kl(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()).item(), 4)
        0.3681
    """
    return alpha_beta_divergence(log_p, log_q, 0.0, 1.0)


def symmetric_kl(log_p: Tensor, log_q: Tensor, weight: float | Tensor = 0.5) -> Tensor:
    r"""Compute the weighted sum of both Kullback-Leibler directions between teacher p and student q.

    Paper: Jeffreys 1946. ABKD (arXiv 2505.04560) compares with it as WSD. Its released code leaves out the teacher's
    entropy, which changes the value but not the gradient with respect to the student. Here it is the divergence.

    .. math::

        D_\lambda(p\|q) = (1 - \lambda) \, \mathrm{KL}(p\|q) + \lambda \, \mathrm{KL}(q\|p)

    where:

    - p, q -> exp of `log_p`, `log_q`: distributions over the classes.
    - λ -> `weight`: share of the reverse direction, in [0, 1]. The released code uses 0.5, half of Jeffreys'
      divergence; 0 is `forward_kl` and 1 is `reverse_kl`.

    Args:
        log_p: Teacher log-probabilities, shape (..., V).
        log_q: Student log-probabilities, shape (..., V).
        weight: Share of the reverse direction: a number, or a tensor that broadcasts against the leading shape (...).

    Returns:
        Divergence in nats, shape (...). Dtypes and derivatives as in `alpha_beta_divergence`.

    Raises:
        ValueError: If `weight` is a number outside [0, 1], or the shapes of `log_p` and `log_q` differ.

    Example:
        >>> import torch
        >>> round(symmetric_kl(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()).item(), 4)
        0.4394
    """
    if not isinstance(weight, Tensor):
        check_interval("weight", weight, "[0, 1]")
    return weighted(1.0 - weight, forward_kl(log_p, log_q)) + weighted(weight, reverse_kl(log_p, log_q))


def hellinger(log_p: Tensor, log_q: Tensor) -> Tensor:
    r"""Compute the squared Hellinger distance of teacher p and student q, a quarter of the point (½, ½) of the family.

    Paper: Hellinger 1909.

    .. math::

        H^2(p, q) = \frac{1}{2} \sum_k \big(\sqrt{p_k} - \sqrt{q_k}\big)^2 = \frac{1}{4} D_{1/2,1/2}(p\|q)

    where:

    - p, q -> exp of `log_p`, `log_q`: distributions over the classes k.

    Args:
        log_p: Teacher log-probabilities, shape (..., V).
        log_q: Student log-probabilities, shape (..., V).

    Returns:
        Squared distance in [0, 1], shape (...). Dtypes and derivatives as in `alpha_beta_divergence`.

    Raises:
        ValueError: If the shapes of `log_p` and `log_q` differ.

    Example:
        >>> import torch
        >>> round(hellinger(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()).item(), 4)
        0.1056
    """
    return alpha_beta_divergence(log_p, log_q, 0.5, 0.5) / 4.0


def alpha_divergence(log_p: Tensor, log_q: Tensor, alpha: float | Tensor) -> Tensor:
    r"""Compute Amari's α-divergence of the student q from the teacher p, the line (α, 1 - α) of the family.

    Paper: Amari 2009, "α-Divergence Is Unique, Belonging to Both f-Divergence and Bregman Divergence Classes".

    .. math::

        D_\alpha(p\|q) = \frac{1}{\alpha (1 - \alpha)} \Big[ 1 - \sum_k p_k^\alpha q_k^{1 - \alpha} \Big]
            = D_{\alpha,1-\alpha}(p\|q)

    where:

    - p, q -> exp of `log_p`, `log_q`: distributions over the classes k.
    - α -> `alpha`: any real number. The limit α = 0 is `reverse_kl`, the limit α = 1 is `forward_kl`.

    Args:
        log_p: Teacher log-probabilities, shape (..., V).
        log_q: Student log-probabilities, shape (..., V).
        alpha: Number, or a tensor that broadcasts against the leading shape (...).

    Returns:
        Divergence, shape (...). Dtypes and derivatives as in `alpha_beta_divergence`.

    Raises:
        ValueError: If the shapes of `log_p` and `log_q` differ.

    Example:
        >>> import torch
        >>> round(alpha_divergence(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log(), 0.5).item(), 4)
        0.4223
    """
    return alpha_beta_divergence(log_p, log_q, alpha, 1.0 - alpha)


def beta_divergence(log_p: Tensor, log_q: Tensor, beta: float | Tensor) -> Tensor:
    r"""Compute the β-divergence (density power divergence) of the student q from the teacher p, the line (1, β).

    Paper: Basu et al. 1998, "Robust and Efficient Estimation by Minimising a Density Power Divergence".

    .. math::

        D_\beta(p\|q) = \sum_k \Big[ \frac{p_k^{1 + \beta}}{\beta (1 + \beta)} - \frac{p_k \, q_k^\beta}{\beta}
            + \frac{q_k^{1 + \beta}}{1 + \beta} \Big] = D_{1,\beta}(p\|q)

    where:

    - p, q -> exp of `log_p`, `log_q`: distributions over the classes k.
    - β -> `beta`: any real number. The limit β = 0 is `forward_kl`; β = 1 is half the squared Euclidean distance.

    Args:
        log_p: Teacher log-probabilities, shape (..., V).
        log_q: Student log-probabilities, shape (..., V).
        beta: Number, or a tensor that broadcasts against the leading shape (...).

    Returns:
        Divergence, shape (...). Dtypes and derivatives as in `alpha_beta_divergence`.

    Raises:
        ValueError: If the shapes of `log_p` and `log_q` differ.

    Example:
        >>> import torch
        >>> round(beta_divergence(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log(), 1.0).item(), 4)
        0.16
    """
    return alpha_beta_divergence(log_p, log_q, 1.0, beta)
