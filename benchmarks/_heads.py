"""The loss from hidden states by this library, unfused and by the peers, which are imported when called."""

import os
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from _inputs import States
from _peers import FORWARD, GKD, MIXTURE, PAIRS, REVERSE, kl_div
from lightning_abkd.losses import (
    AlphaBetaDivergence,
    Divergence,
    JensenShannon,
    OutputHead,
    compare_with_head,
    head_loss,
)

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

# Hidden states and heads, and the next tokens for a cross-entropy, None without one.
Loss = Callable[[States, Tensor | None], Tensor]


def fused(states: States, labels: Tensor | None, divergence: Divergence) -> Tensor:
    """Compute the library's loss from hidden states."""
    compare = compare_with_head(states.teacher_hidden, OutputHead(states.teacher_head))
    return head_loss(states.hidden, OutputHead(states.head), labels, compare, divergence).loss


def unfused(states: States, labels: Tensor | None, divergence: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Compute a divergence of full logits, and their cross-entropy."""
    student = states.hidden @ states.head.T
    distance = divergence(student, states.teacher_hidden @ states.teacher_head.T)
    wide = student.to(torch.promote_types(student.dtype, torch.float32))
    return distance if labels is None else distance + F.cross_entropy(wide, labels)


def liger_chunked(states: States, labels: Tensor | None, beta: float) -> Tensor:
    """Compute Liger-Kernel's chunked loss, compiled as it is by default."""
    from liger_kernel.chunked_loss import LigerFusedLinearJSDLoss

    hidden = states.hidden
    counted = torch.zeros(len(hidden), dtype=torch.long, device=hidden.device) if labels is None else labels
    value: Tensor = LigerFusedLinearJSDLoss(float(labels is not None), 1.0, beta=beta)(*states, counted)
    return value


def liger_fused(states: States, labels: Tensor | None, beta: float) -> Tensor:
    """Compute Liger-Kernel's fused divergence, which has no cross-entropy."""
    from liger_kernel.transformers.fused_linear_jsd import LigerFusedLinearJSD

    value: Tensor = LigerFusedLinearJSD(jsd_beta=beta)(*states, labels)
    return value


def trl(states: States, labels: Tensor | None, beta: float) -> Tensor:
    """Compute TRL's chunked divergence, which has no cross-entropy."""
    from trl.kernels.chunked_divergence import ChunkedDivergenceFunction

    teacher = states.teacher_hidden, states.teacher_head
    values = ChunkedDivergenceFunction.apply(states.hidden, states.head, None, *teacher, None, beta)
    value: Tensor = values[0].mean()
    return value


def candidates(point: str, with_task: bool, device: str) -> dict[str, Loss]:
    """Name what computes the divergence of a point, with the cross-entropy or alone; ours first."""
    divergence = _divergence(point).to(device)
    found: dict[str, Loss] = {
        "fused": partial(fused, divergence=divergence),
        "unfused": partial(unfused, divergence=divergence),
    }
    if point in (FORWARD, REVERSE):
        found["unfused, F.kl_div"] = partial(unfused, divergence=partial(kl_div, point=point))
    if point in GKD:
        found["Liger chunked"] = partial(liger_chunked, beta=GKD[point])
    if point in GKD and not with_task:
        found["Liger fused"] = partial(liger_fused, beta=GKD[point])
        found["TRL chunked"] = partial(trl, beta=GKD[point])
    return found


def _divergence(point: str) -> Divergence:
    if point == MIXTURE:
        return JensenShannon()
    alpha, beta = PAIRS[point]
    return AlphaBetaDivergence(alpha, beta)
