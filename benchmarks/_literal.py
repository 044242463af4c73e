"""The objectives as their papers and released code have them, in plain torch: what a user would write down."""

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_abkd.losses import CRD, ITRD


def kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KD, scaled by T²."""
    log_q, p = F.log_softmax(student / temperature, 1), F.softmax(teacher / temperature, 1)
    return F.kl_div(log_q, p, reduction="batchmean") * temperature**2


def ab_of(p: Tensor, q: Tensor, alpha: float, beta: float) -> Tensor:
    """ABKD's formula for α, β and α + β other than 0."""
    total = alpha + beta
    terms = p**alpha * q**beta - alpha / total * p**total - beta / total * q**total
    return -terms.sum(1).mean() / (alpha * beta)


def ab(student: Tensor, teacher: Tensor, temperature: float, alpha: float, beta: float) -> Tensor:
    """ABKD without T²."""
    return ab_of(F.softmax(teacher / temperature, 1), F.softmax(student / temperature, 1), alpha, beta)


def _target_part(student: Tensor, teacher: Tensor, target: Tensor, temperature: float) -> Tensor:
    q, p = F.softmax(student / temperature, 1), F.softmax(teacher / temperature, 1)
    q, p = (torch.cat([(x * target).sum(1, keepdim=True), (x * ~target).sum(1, keepdim=True)], 1) for x in (q, p))
    return F.kl_div(torch.log(q), p, reduction="sum") * temperature**2 / len(student)


def _target(logits: Tensor, labels: Tensor) -> Tensor:
    return torch.zeros_like(logits).scatter_(1, labels.unsqueeze(1), 1).bool()


def dkd(student: Tensor, teacher: Tensor, labels: Tensor, beta: float, temperature: float) -> Tensor:
    """DKD with the label's logit lowered by 1000, as released."""
    target = _target(student, labels)
    p = F.softmax(teacher / temperature - 1000.0 * target, 1)
    log_q = F.log_softmax(student / temperature - 1000.0 * target, 1)
    rest = F.kl_div(log_q, p, reduction="sum") * temperature**2 / len(labels)
    return _target_part(student, teacher, target, temperature) + beta * rest


def ab_dkd(student: Tensor, teacher: Tensor, labels: Tensor, weight: float, temperature: float) -> Tensor:
    """ABKD's DKD at (0.8, 0.2), which drops the label's column."""
    target = _target(student, labels)
    q, p = (F.softmax(x[~target].reshape(len(x), -1) / temperature, 1) for x in (student, teacher))
    rest = ab_of(p, q, 0.8, 0.2) * temperature**2
    return _target_part(student, teacher, target, temperature) + weight * rest


def standardised(logits: Tensor) -> Tensor:
    """Logits of mean 0 and deviation 1, as LSD has them."""
    return (logits - logits.mean(-1, keepdim=True)) / (1e-7 + logits.std(-1, keepdim=True))


def transformed(teacher: Tensor, power: float) -> tuple[Tensor, Tensor]:
    """TTM's teacher, and the sums that it was divided by."""
    p = F.softmax(teacher, 1) ** power
    total = p.sum(1)
    return p / total.unsqueeze(1), total


def ttm(student: Tensor, teacher: Tensor, power: float) -> Tensor:
    """TTM."""
    return F.kl_div(F.log_softmax(student, 1), transformed(teacher, power)[0], reduction="none").sum(1).mean()


def wttm(student: Tensor, teacher: Tensor, power: float) -> Tensor:
    """WTTM."""
    p, total = transformed(teacher, power)
    return (total * F.kl_div(F.log_softmax(student, 1), p, reduction="none").sum(1)).mean()


def ab_ttm(student: Tensor, teacher: Tensor, power: float) -> Tensor:
    """ABKD's TTM at (0.8, 0.3)."""
    return ab_of(transformed(teacher, power)[0], F.softmax(student, 1), 0.8, 0.3)


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    a, b = a - a.mean(1).unsqueeze(1), b - b.mean(1).unsqueeze(1)
    return ((a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1) + 1e-8)).mean()


def dist(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """DIST."""
    q, p = F.softmax(student / temperature, 1), F.softmax(teacher / temperature, 1)
    return temperature**2 * (2 - _correlation(q, p) - _correlation(q.T, p.T))


def mlkd(weak: tuple[Tensor, Tensor], strong: tuple[Tensor, Tensor]) -> Tensor:
    """MLKD of pairs (student, teacher), its masks as the share that they are, its strong view everywhere."""
    loss = torch.zeros(())
    for temperature in (4.0, 3.0, 5.0, 2.0, 6.0):
        loss = loss + 0.5 * kl(*weak, temperature) + kl(*strong, temperature)
        q, p = (F.softmax(x / temperature, 1) for x in weak)
        loss = loss + 0.5 * ((p.T @ p - q.T @ q) ** 2).sum() / p.shape[1]
        q, p = (F.softmax(x / temperature, 1) for x in weak)
        loss = loss + 0.5 * ((p @ p.T - q @ q.T) ** 2).sum() / p.shape[0]
    return loss


def itrd(student: Tensor, teacher: Tensor, module: ITRD) -> Tensor:
    """ITRD with the map of a module."""
    embedded = module.embed(student)
    s, t = ((x - x.mean(0)) / x.std(0) for x in (embedded, teacher))
    difference = torch.abs(torch.einsum("bx,bx->x", s, t) / len(s) - 1.0)
    correlation = torch.log2(difference.pow(2.0 * module.alpha).sum())
    s, t = F.normalize(embedded), F.normalize(teacher)
    gram_s, gram_t = torch.einsum("bx,dx->bd", s, s), torch.einsum("bx,dx->bd", t, t)
    joint = gram_s * gram_t
    gram_s, joint = gram_s / torch.trace(gram_s), joint / torch.trace(joint)
    return 2.0 * correlation + (gram_s.pow(2) - joint.pow(2)).sum()


def crd(student: Tensor, teacher: Tensor, index: Tensor, module: CRD) -> Tensor:
    """CRD with heads, memories and Z of a module: K memories gathered for each sample, in training moved afterwards."""
    s, t = F.normalize(module.student_head(student)), F.normalize(module.teacher_head(teacher))
    drawn, z = module._draw(index.device), module.log_z.exp()
    rows = torch.cat([index.unsqueeze(1), drawn.expand(len(index), -1)], 1)
    loss, noise = torch.zeros(()), module.negatives / module.n_data
    for vectors, memory, constant in ((s, module.teacher_memory, z[0]), (t, module.student_memory, z[1])):
        weights = torch.index_select(memory, 0, rows.flatten()).view(*rows.shape, -1)
        scores = torch.exp(torch.bmm(weights, vectors.unsqueeze(2)) / module.temperature) / constant
        positive, negative = scores[:, 0], scores[:, 1:]
        of_positive = torch.log(positive / (positive + noise + 1e-7)).sum()
        of_negatives = torch.log(noise / (negative + noise + 1e-7)).sum()
        loss = loss - (of_positive + of_negatives) / len(index)
    if not module.training:
        return loss
    with torch.no_grad():
        for vectors, memory in ((s, module.student_memory), (t, module.teacher_memory)):
            moved = memory[index] * module.momentum + vectors * (1 - module.momentum)
            memory.index_copy_(0, index, F.normalize(moved))
    return loss
