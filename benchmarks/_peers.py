"""The divergence from logits by this library, in plain torch and by the peers, which are imported when called."""

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_abkd import functional
from lightning_abkd.losses import AlphaBetaDivergence, JensenShannon, TokenRule, TokenwiseAlphaBeta

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

# Student logits, teacher logits (N, V), and a mask (N,) of the positions that count, None for all; returns their mean.
Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
# The same for rows that all count.
Formula = Callable[[Tensor, Tensor], Tensor]

FORWARD = "(1, 0)"
REVERSE = "(0, 1)"
BY_ROW = "(α, β) by row"
MIXTURE = "Jensen-Shannon"
PAIRS = {FORWARD: (1.0, 0.0), REVERSE: (0.0, 1.0), "(0.5, 0.5)": (0.5, 0.5), "(0.2, 0.7)": (0.2, 0.7)}
POINTS = (*PAIRS, BY_ROW, MIXTURE)
# The divergences of GKD, by the β that TRL and Liger-Kernel take.
GKD = {FORWARD: 0.0, REVERSE: 1.0, MIXTURE: 0.5}
# Another divergence, whose time is of interest beside the mixture's.
CONTEXT = "ours, α-β (0.5, 0.5)"
PACKAGES = ("triton", "liger-kernel", "trl")


def exponents(point: str, rows: Tensor) -> tuple[float | Tensor, float | Tensor]:
    """Return α and β of a point: two numbers, or one pair per row, shape (N,)."""
    if point != BY_ROW:
        return PAIRS[point]
    # A compiler treats the length of arange as a variable, but compiles linspace again for every length.
    alpha = 0.1 + torch.arange(len(rows), dtype=rows.dtype, device=rows.device) * (0.8 / len(rows))
    return alpha, 1.1 - alpha


def columns(point: str, rows: Tensor) -> tuple[float | Tensor, float | Tensor]:
    """Return α and β in shapes that broadcast against the rows."""
    alpha, beta = exponents(point, rows)
    return _column(alpha), _column(beta)


def _column(exponent: float | Tensor) -> float | Tensor:
    return exponent.unsqueeze(-1) if isinstance(exponent, Tensor) else exponent


def log_probabilities(student: Tensor, teacher: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Compute log p of the teacher and log q of the student."""
    return F.log_softmax(teacher, -1, dtype=dtype), F.log_softmax(student, -1, dtype=dtype)


def unfused(student: Tensor, teacher: Tensor, point: str, dtype: torch.dtype = torch.float32) -> Tensor:
    """Compute the divergence by the library's functions of log-probabilities, the reference in float64."""
    log_p, log_q = log_probabilities(student, teacher, dtype)
    if point == MIXTURE:
        return functional.jensen_shannon(log_p, log_q).mean()
    return functional.alpha_beta_divergence(log_p, log_q, *exponents(point, log_q)).mean()


def plain(student: Tensor, teacher: Tensor, point: str) -> Tensor:
    """Compute the formula of the point in log-probabilities, as a user would write it in plain torch."""
    log_p, log_q = log_probabilities(student, teacher)
    if point == FORWARD:
        return (log_p.exp() * (log_p - log_q)).sum(-1).mean()
    if point == REVERSE:
        return (log_q.exp() * (log_q - log_p)).sum(-1).mean()
    if point == MIXTURE:
        return _plain_mixture(log_p, log_q)
    alpha, beta = columns(point, log_q)
    total = alpha + beta
    powers = alpha / total * (total * log_p).exp() + beta / total * (total * log_q).exp()
    terms = powers - (alpha * log_p + beta * log_q).exp()
    return (terms.sum(-1, keepdim=True) / (alpha * beta)).mean()


def _plain_mixture(log_p: Tensor, log_q: Tensor) -> Tensor:
    p = log_p.exp()
    q = log_q.exp()
    log_m = ((p + q) / 2).log()
    return (p * (log_p - log_m) + q * (log_q - log_m)).sum(-1).mean() / 2


def literal(student: Tensor, teacher: Tensor, point: str) -> Tensor:
    """Compute the paper's formula as printed, limits included."""
    p = F.softmax(teacher, -1, dtype=torch.float32)
    q = F.softmax(student, -1, dtype=torch.float32)
    alpha, beta = columns(point, q)
    if point == FORWARD:
        return (p**alpha * (p**alpha / q**alpha).log() - p**alpha + q**alpha).sum(-1).mean() / alpha**2
    if point == REVERSE:
        return (q**beta * (q**beta / p**beta).log() - q**beta + p**beta).sum(-1).mean() / beta**2
    total = alpha + beta
    terms = p**alpha * q**beta - alpha / total * p**total - beta / total * q**total
    return -(terms.sum(-1, keepdim=True) / (alpha * beta)).mean()


def kl_div(student: Tensor, teacher: Tensor, point: str) -> Tensor:
    """Compute forward or reverse KL by torch's own function."""
    log_p, log_q = log_probabilities(student, teacher)
    inputs = (log_q, log_p) if point == FORWARD else (log_p, log_q)
    return F.kl_div(*inputs, reduction="batchmean", log_target=True)


def liger_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """Compute forward KL by Liger-Kernel."""
    from liger_kernel.transformers.kl_div import LigerKLDIVLoss

    log_p, log_q = log_probabilities(student, teacher)
    value: Tensor = LigerKLDIVLoss(reduction="batchmean", log_target=True)(log_q, log_p)
    return value


def liger_jsd(student: Tensor, teacher: Tensor, mask: Tensor | None, beta: float) -> Tensor:
    """Compute a divergence of GKD by Liger-Kernel."""
    from liger_kernel.transformers.jsd import LigerJSD

    log_p, log_q = log_probabilities(student, teacher)
    value: Tensor = LigerJSD(beta=beta)(log_q, log_p, labels(mask))
    return value


def trl(student: Tensor, teacher: Tensor, mask: Tensor | None, beta: float) -> Tensor:
    """Compute a divergence of GKD by TRL."""
    from trl.experimental.gkd import GKDTrainer

    value: Tensor = GKDTrainer.generalized_jsd_loss(student, teacher, labels(mask), beta=beta)
    return value


def labels(mask: Tensor | None) -> Tensor | None:
    """Write a mask as the labels that the peers expect, -100 where a position does not count."""
    return None if mask is None else torch.where(mask, 0, -100)


def on_counted_rows(formula: Formula) -> Loss:
    """Turn a formula into a loss that sees only the rows that count."""

    def loss(student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        return formula(student, teacher) if mask is None else formula(student[mask], teacher[mask])

    return loss


class Ramp(TokenRule):
    """Assigns the share i/N to the i-th of N rows, in whatever chunks they come."""

    def restart(self, rows: int) -> None:
        """Start again with the first of N rows."""
        self.rows = rows
        self.next = 0

    def forward(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Return the shares of the rows of a chunk."""
        first = self.next
        self.next += len(log_q)
        return torch.arange(first, self.next, dtype=log_q.dtype, device=log_q.device) / self.rows


def ours(point: str, backends: Sequence[str], device: str) -> dict[str, Loss]:
    """Name the library's own losses of a point, with further backends of the α-β-divergence."""
    if point == BY_ROW:
        return {"ours": on_counted_rows(_by_row(device))}
    if point == MIXTURE:
        return {"ours": JensenShannon().to(device), CONTEXT: AlphaBetaDivergence(0.5, 0.5).to(device)}
    alpha, beta = PAIRS[point]

    def backend(name: Any) -> Loss:
        # The command line may name one that does not exist: built when called, it fails there.
        build = functools.cache(lambda: AlphaBetaDivergence(alpha, beta, backend=name).to(device))
        return lambda *inputs: build()(*inputs)

    named = {f"ours, {name}": backend(name) for name in backends if name != "auto"}
    return {"ours": AlphaBetaDivergence(alpha, beta).to(device)} | named


def _by_row(device: str) -> Formula:
    """Build a divergence whose α goes from 0.1 to 0.9 and β from 1 to 0.2 over the rows, as in `exponents`."""
    rule = Ramp()
    divergence = TokenwiseAlphaBeta(rule, alpha=0.1, beta=1.0, other_alpha=0.9, other_beta=0.2).to(device)

    def formula(student: Tensor, teacher: Tensor) -> Tensor:
        rule.restart(len(student))
        value: Tensor = divergence(student, teacher)
        return value

    return formula


def candidates(point: str, backends: Sequence[str] = (), device: str = "cpu") -> dict[str, Loss]:
    """Name what computes the divergence of a point, ours first."""
    formula = functools.partial(plain, point=point)
    formulas: dict[str, Formula] = {"torch": formula, "torch.compile": torch.compile(formula, dynamic=True)}
    if point != MIXTURE:
        formulas["literal"] = functools.partial(literal, point=point)
    if point in (FORWARD, REVERSE):
        formulas["F.kl_div"] = functools.partial(kl_div, point=point)
    if point == FORWARD:
        formulas["Liger KL"] = liger_kl
    found = ours(point, backends, device) | {name: on_counted_rows(each) for name, each in formulas.items()}
    if point in GKD:
        found["Liger JSD"] = functools.partial(liger_jsd, beta=GKD[point])
        found["TRL"] = functools.partial(trl, beta=GKD[point])
    return found
