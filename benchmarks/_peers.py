"""The divergence from logits as this library, plain torch and the peers have it; peers are imported when called."""

import functools
import os
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_abkd import functional
from lightning_abkd.losses import AlphaBetaDivergence, JensenShannon, TokenRule, TokenwiseAlphaBeta

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

# Student logits, teacher logits (N, V), and which positions count (N,), None for all; gives the mean over them.
Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
# The same of rows that all count.
Formula = Callable[[Tensor, Tensor], Tensor]

FORWARD, REVERSE, BY_ROW, MIXTURE = "(1, 0)", "(0, 1)", "(α, β) by row", "Jensen-Shannon"
PAIRS = {FORWARD: (1.0, 0.0), REVERSE: (0.0, 1.0), "(0.5, 0.5)": (0.5, 0.5), "(0.2, 0.7)": (0.2, 0.7)}
POINTS = (*PAIRS, BY_ROW, MIXTURE)
# The divergences of GKD, by the β that TRL and Liger-Kernel take.
GKD = {FORWARD: 0.0, REVERSE: 1.0, MIXTURE: 0.5}
# Another divergence, whose time is of interest beside the mixture's.
CONTEXT = "ours, α-β (0.5, 0.5)"
PACKAGES = ("triton", "liger-kernel", "trl")


def exponents(point: str, rows: Tensor) -> tuple[float | Tensor, float | Tensor]:
    """Give α and β of a point: two numbers, or one pair a row, shape (N,)."""
    if point != BY_ROW:
        return PAIRS[point]
    # Compilers know how long arange is, linspace they compile for every length.
    alpha = 0.1 + torch.arange(len(rows), dtype=rows.dtype, device=rows.device) * (0.8 / len(rows))
    return alpha, 1.1 - alpha


def columns(point: str, rows: Tensor) -> tuple[float | Tensor, float | Tensor]:
    """Give α and β so that they broadcast against the rows."""
    alpha, beta = exponents(point, rows)
    return (alpha, beta) if isinstance(alpha, float) else (alpha.unsqueeze(-1), beta.unsqueeze(-1))


def log_probabilities(student: Tensor, teacher: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Give log p and log q."""
    return F.log_softmax(teacher, -1, dtype=dtype), F.log_softmax(student, -1, dtype=dtype)


def unfused(student: Tensor, teacher: Tensor, point: str, dtype: torch.dtype = torch.float32) -> Tensor:
    """The library's functions of log-probabilities: what float64 is taken from."""
    log_p, log_q = log_probabilities(student, teacher, dtype)
    if point == MIXTURE:
        return functional.jensen_shannon(log_p, log_q).mean()
    return functional.alpha_beta_divergence(log_p, log_q, *exponents(point, log_q)).mean()


def plain(student: Tensor, teacher: Tensor, point: str) -> Tensor:
    """What one writes in plain torch: the formula of the point in log-probabilities."""
    log_p, log_q = log_probabilities(student, teacher)
    if point == FORWARD:
        return (log_p.exp() * (log_p - log_q)).sum(-1).mean()
    if point == REVERSE:
        return (log_q.exp() * (log_q - log_p)).sum(-1).mean()
    if point == MIXTURE:
        p, q = log_p.exp(), log_q.exp()
        log_m = ((p + q) / 2).log()
        return (p * (log_p - log_m) + q * (log_q - log_m)).sum(-1).mean() / 2
    alpha, beta = columns(point, log_q)
    total = alpha + beta
    powers = alpha / total * (total * log_p).exp() + beta / total * (total * log_q).exp()
    terms = powers - (alpha * log_p + beta * log_q).exp()
    return (terms.sum(-1, keepdim=True) / (alpha * beta)).mean()


def literal(student: Tensor, teacher: Tensor, point: str) -> Tensor:
    """The paper's formula written as it stands, limits included."""
    p, q = F.softmax(teacher, -1, dtype=torch.float32), F.softmax(student, -1, dtype=torch.float32)
    alpha, beta = columns(point, q)
    if point == FORWARD:
        return (p**alpha * (p**alpha / q**alpha).log() - p**alpha + q**alpha).sum(-1).mean() / alpha**2
    if point == REVERSE:
        return (q**beta * (q**beta / p**beta).log() - q**beta + p**beta).sum(-1).mean() / beta**2
    total = alpha + beta
    terms = p**alpha * q**beta - alpha / total * p**total - beta / total * q**total
    return -(terms.sum(-1, keepdim=True) / (alpha * beta)).mean()


def kl_div(student: Tensor, teacher: Tensor, point: str) -> Tensor:
    """Kullback-Leibler divergence as torch has it."""
    log_p, log_q = log_probabilities(student, teacher)
    inputs = (log_q, log_p) if point == FORWARD else (log_p, log_q)
    return F.kl_div(*inputs, reduction="batchmean", log_target=True)


def liger_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """Forward KL of Liger-Kernel."""
    from liger_kernel.transformers.kl_div import LigerKLDIVLoss

    log_p, log_q = log_probabilities(student, teacher)
    return LigerKLDIVLoss(reduction="batchmean", log_target=True)(log_q, log_p)


def liger_jsd(student: Tensor, teacher: Tensor, mask: Tensor | None, beta: float) -> Tensor:
    """The divergences of GKD in Liger-Kernel."""
    from liger_kernel.transformers.jsd import LigerJSD

    log_p, log_q = log_probabilities(student, teacher)
    return LigerJSD(beta=beta)(log_q, log_p, labels(mask))


def trl(student: Tensor, teacher: Tensor, mask: Tensor | None, beta: float) -> Tensor:
    """The divergences of GKD in TRL."""
    from trl.experimental.gkd import GKDTrainer

    return GKDTrainer.generalized_jsd_loss(student, teacher, labels(mask), beta=beta)


def labels(mask: Tensor | None) -> Tensor | None:
    """Say which positions count as the peers hear it."""
    return None if mask is None else torch.where(mask, 0, -100)


def of_counted(formula: Formula) -> Loss:
    """Give a formula the rows that count."""

    def loss(student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        return formula(student, teacher) if mask is None else formula(student[mask], teacher[mask])

    return loss


class Ramp(TokenRule):
    """Gives the i-th of N rows the share i/N, in whatever chunks they come."""

    def ramp(self, rows: int) -> None:
        """Start with the first of so many rows."""
        self.rows, self.next = rows, 0

    def forward(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Give the shares of the rows at hand."""
        first, self.next = self.next, self.next + len(log_q)
        return torch.arange(first, self.next, dtype=log_q.dtype, device=log_q.device) / self.rows


def ours(point: str, backends: Sequence[str], device: str) -> dict[str, Loss]:
    """Name the ways of this library; `backends` of the α-β-divergence."""
    if point == BY_ROW:
        # α from 0.1 to 0.9 and β from 1 to 0.2, as in `exponents`.
        by_row = TokenwiseAlphaBeta(Ramp(), alpha=0.1, beta=1.0, other_alpha=0.9, other_beta=0.2).to(device)
        return {"ours": of_counted(lambda *logits: by_row.rule.ramp(len(logits[0])) or by_row(*logits))}
    if point == MIXTURE:
        return {"ours": JensenShannon().to(device), CONTEXT: AlphaBetaDivergence(0.5, 0.5).to(device)}

    def backend(name: str) -> Loss:
        # Built when called, so that one that does not exist fails there.
        build = functools.cache(lambda: AlphaBetaDivergence(*PAIRS[point], backend=name).to(device))
        return lambda *inputs: build()(*inputs)

    named = {f"ours, {name}": backend(name) for name in backends if name != "auto"}
    return {"ours": AlphaBetaDivergence(*PAIRS[point]).to(device)} | named


def candidates(point: str, backends: Sequence[str] = (), device: str = "cpu") -> dict[str, Loss]:
    """Name what computes the divergence of a point, ours first."""
    formula = functools.partial(plain, point=point)
    formulas = {"torch": formula, "torch.compile": torch.compile(formula, dynamic=True)}
    if point != MIXTURE:
        formulas["literal"] = functools.partial(literal, point=point)
    if point in (FORWARD, REVERSE):
        formulas["F.kl_div"] = functools.partial(kl_div, point=point)
    if point == FORWARD:
        formulas["Liger KL"] = liger_kl
    found = ours(point, backends, device) | {name: of_counted(each) for name, each in formulas.items()}
    if point in GKD:
        found["Liger JSD"] = functools.partial(liger_jsd, beta=GKD[point])
        found["TRL"] = functools.partial(trl, beta=GKD[point])
    return found
