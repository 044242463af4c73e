"""The objectives as in their papers and released code, in plain torch: what a user would write down."""

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_abkd.losses import CRD, ITRD


def kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Compute KD, scaled by T²."""
    log_q = F.log_softmax(student / temperature, 1)
    p = F.softmax(teacher / temperature, 1)
    return F.kl_div(log_q, p, reduction="batchmean") * temperature**2


def ab_of(p: Tensor, q: Tensor, alpha: float, beta: float) -> Tensor:
    """Compute ABKD's formula for α, β and α + β other than 0."""
    total = alpha + beta
    terms = p**alpha * q**beta - alpha / total * p**total - beta / total * q**total
    return -terms.sum(1).mean() / (alpha * beta)


def ab(student: Tensor, teacher: Tensor, temperature: float, alpha: float, beta: float) -> Tensor:
    """Compute ABKD without T²."""
    return ab_of(F.softmax(teacher / temperature, 1), F.softmax(student / temperature, 1), alpha, beta)


def _target_part(student: Tensor, teacher: Tensor, target: Tensor, temperature: float) -> Tensor:
    q = _target_and_rest(F.softmax(student / temperature, 1), target)
    p = _target_and_rest(F.softmax(teacher / temperature, 1), target)
    return F.kl_div(torch.log(q), p, reduction="sum") * temperature**2 / len(student)


def _target_and_rest(probabilities: Tensor, target: Tensor) -> Tensor:
    parts = probabilities * target, probabilities * ~target
    return torch.cat([part.sum(1, keepdim=True) for part in parts], 1)


def _target(logits: Tensor, labels: Tensor) -> Tensor:
    return torch.zeros_like(logits).scatter_(1, labels.unsqueeze(1), 1).bool()


def dkd(student: Tensor, teacher: Tensor, labels: Tensor, beta: float, temperature: float) -> Tensor:
    """Compute DKD with the label's logit lowered by 1000, as released."""
    target = _target(student, labels)
    p = F.softmax(teacher / temperature - 1000.0 * target, 1)
    log_q = F.log_softmax(student / temperature - 1000.0 * target, 1)
    rest = F.kl_div(log_q, p, reduction="sum") * temperature**2 / len(labels)
    return _target_part(student, teacher, target, temperature) + beta * rest


def ab_dkd(student: Tensor, teacher: Tensor, labels: Tensor, weight: float, temperature: float) -> Tensor:
    """Compute ABKD's DKD at (0.8, 0.2), which drops the label's column."""
    target = _target(student, labels)
    q = F.softmax(student[~target].reshape(len(student), -1) / temperature, 1)
    p = F.softmax(teacher[~target].reshape(len(teacher), -1) / temperature, 1)
    rest = ab_of(p, q, 0.8, 0.2) * temperature**2
    return _target_part(student, teacher, target, temperature) + weight * rest


def standardised(logits: Tensor) -> Tensor:
    """Bring logits to mean 0 and deviation 1, as LSD does."""
    return (logits - logits.mean(-1, keepdim=True)) / (1e-7 + logits.std(-1, keepdim=True))


def lsd(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Compute LSD, scaled by T²."""
    return kl(standardised(student), standardised(teacher), temperature)


def ab_lsd(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Compute ABKD's LSD at (0.9, 0.3), scaled by T²."""
    return temperature**2 * ab(standardised(student), standardised(teacher), temperature, 0.9, 0.3)


def transformed(teacher: Tensor, power: float) -> tuple[Tensor, Tensor]:
    """Compute TTM's teacher, and the sums that it is divided by."""
    p = F.softmax(teacher, 1) ** power
    total = p.sum(1)
    return p / total.unsqueeze(1), total


def ttm(student: Tensor, teacher: Tensor, power: float) -> Tensor:
    """Compute TTM."""
    return F.kl_div(F.log_softmax(student, 1), transformed(teacher, power)[0], reduction="none").sum(1).mean()


def wttm(student: Tensor, teacher: Tensor, power: float) -> Tensor:
    """Compute WTTM."""
    p, total = transformed(teacher, power)
    return (total * F.kl_div(F.log_softmax(student, 1), p, reduction="none").sum(1)).mean()


def ab_ttm(student: Tensor, teacher: Tensor, power: float) -> Tensor:
    """Compute ABKD's TTM at (0.8, 0.3)."""
    return ab_of(transformed(teacher, power)[0], F.softmax(student, 1), 0.8, 0.3)


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    a = a - a.mean(1).unsqueeze(1)
    b = b - b.mean(1).unsqueeze(1)
    norms: Tensor = a.norm(dim=1) * b.norm(dim=1)
    return ((a * b).sum(1) / (norms + 1e-8)).mean()


def dist(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Compute DIST."""
    q = F.softmax(student / temperature, 1)
    p = F.softmax(teacher / temperature, 1)
    return temperature**2 * (2 - _correlation(q, p) - _correlation(q.T, p.T))


def mlkd(weak: tuple[Tensor, Tensor], strong: tuple[Tensor, Tensor]) -> Tensor:
    """Compute MLKD of pairs (student, teacher), with ½ for its masks and the strong view at every temperature."""
    loss = torch.zeros(())
    for temperature in (4.0, 3.0, 5.0, 2.0, 6.0):
        loss = loss + 0.5 * kl(*weak, temperature) + kl(*strong, temperature)
        q, p = (F.softmax(x / temperature, 1) for x in weak)
        loss = loss + 0.5 * ((p.T @ p - q.T @ q) ** 2).sum() / p.shape[1]
        # The released code computes them again.
        q, p = (F.softmax(x / temperature, 1) for x in weak)
        loss = loss + 0.5 * ((p @ p.T - q @ q.T) ** 2).sum() / p.shape[0]
    return loss


def itrd(student: Tensor, teacher: Tensor, module: ITRD) -> Tensor:
    """Compute ITRD with the map of a module."""
    embedded = module.embed(student)
    difference = torch.abs(_self_correlation(embedded, teacher) - 1.0)
    correlation = torch.log2(difference.pow(2.0 * module.alpha).sum())
    gram_student = _gram(embedded)
    joint = gram_student * _gram(teacher)
    gram_student = gram_student / torch.trace(gram_student)
    joint = joint / torch.trace(joint)
    return 2.0 * correlation + (gram_student.pow(2) - joint.pow(2)).sum()


def _self_correlation(student: Tensor, teacher: Tensor) -> Tensor:
    s, t = ((x - x.mean(0)) / x.std(0) for x in (student, teacher))
    return torch.einsum("bx,bx->x", s, t) / len(s)


def _gram(features: Tensor) -> Tensor:
    rows = F.normalize(features)
    return torch.einsum("bx,dx->bd", rows, rows)


def crd(student: Tensor, teacher: Tensor, index: Tensor, module: CRD) -> Tensor:
    """Compute CRD with a module's heads, memories and Z: gather K memories per sample and, in training, update them."""
    s = F.normalize(module.student_head(student))
    t = F.normalize(module.teacher_head(teacher))
    negatives = module._draw(index.device).expand(len(index), -1)
    rows = torch.cat([index.unsqueeze(1), negatives], 1)
    z = module.log_z.exp()
    loss = _contrast(s, module.teacher_memory, rows, z[0], module)
    loss = loss + _contrast(t, module.student_memory, rows, z[1], module)
    if module.training:
        _move(s, module.student_memory, index, module)
        _move(t, module.teacher_memory, index, module)
    return loss


def _contrast(vectors: Tensor, memory: Tensor, rows: Tensor, z: Tensor, module: CRD) -> Tensor:
    """Compute the contrastive loss of one side; the first row is the memory of the sample itself."""
    weights = torch.index_select(memory, 0, rows.flatten()).view(*rows.shape, -1)
    scores = torch.exp(torch.bmm(weights, vectors.unsqueeze(2)) / module.temperature) / z
    positive = scores[:, 0]
    negative = scores[:, 1:]
    noise = module.negatives / module.n_data
    of_positive = torch.log(positive / (positive + noise + 1e-7)).sum()
    of_negatives = torch.log(noise / (negative + noise + 1e-7)).sum()
    return -(of_positive + of_negatives) / len(rows)


@torch.no_grad()
def _move(vectors: Tensor, memory: Tensor, index: Tensor, module: CRD) -> None:
    """Move the rows of a memory towards the features of their samples."""
    moved = memory[index] * module.momentum + vectors * (1 - module.momentum)
    memory.index_copy_(0, index, F.normalize(moved))
