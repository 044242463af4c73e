"""What probably made numbers NaN or infinite, and what to do."""

import torch
from torch import Tensor, nn

from lightning_abkd.losses import DistillationLoss
from lightning_abkd.training._evidence import Finding
from lightning_abkd.training._pieces import local_part

_RATE = "Lower the learning rate, set trainer.gradient_clip_val or use a wider precision."
_TOO_LARGE = f"Else the student's logits have grown too large: {_RATE[0].lower()}{_RATE[1:]}"
_LARGEST_HALF = "float16 ends at 65,504"


def cause_of(
    finding: Finding, teacher: nn.Module | None, student: nn.Module, divergence: DistillationLoss | None, precision: str
) -> str:
    """Return the likely cause of a finding and its cure, in one or two sentences.

    Args:
        finding: What is wrong.
        teacher: The teacher, if it is a network here.
        student: The network that trains.
        divergence: The loss between them.
        precision: The trainer's precision, such as "16-mixed".
    """
    if finding.source == "inputs":
        return (
            "Look at these samples and at what transforms them: a normalisation by a standard deviation of 0 divides "
            f"by 0, and {_LARGEST_HALF}."
        )
    if finding.source == "teacher":
        return _of_teacher(teacher, precision)
    if finding.source == "student":
        return _of_student(student, precision)
    if "task_loss" in finding.what:
        return f"Check the labels, and that no class of a label is masked by -inf. {_TOO_LARGE}"
    other = _RATE if finding.source == "gradient" else f"Check the loss's parameters. {_TOO_LARGE}"
    return _of_divergence(divergence) or other


def _of_teacher(teacher: nn.Module | None, precision: str) -> str:
    broken = None if teacher is None else first_broken_weight(teacher)
    if broken:
        return f"Its weight `{broken}` is not finite: check the file that it comes from."
    if teacher is not None and _is_half(teacher, precision):
        return f"{_LARGEST_HALF.capitalize()}: set `teacher_dtype` of the module to bfloat16 or float32."
    return "Check its weights, its precision and the inputs it was trained on."


def _of_student(student: nn.Module, precision: str) -> str:
    broken = first_broken_weight(student)
    if broken:
        return f"Its weight `{broken}` is not finite already: check its file, or the step before. {_RATE}"
    if _is_half(student, precision):
        return f"{_LARGEST_HALF.capitalize()}: set trainer.precision to bf16-mixed or bf16-true. Else: {_RATE.lower()}"
    return _RATE


def _of_divergence(divergence: DistillationLoss | None) -> str:
    """Return what negative exponents do, if a divergence has some."""
    numbers = numbers_of(divergence)
    for name, alpha in numbers.items():
        above = name.removesuffix("alpha")
        beta = numbers.get(f"{above}beta", 0.0)
        if name.endswith("alpha") and min(alpha, beta, alpha + beta) < 0.0:
            return (
                f"With α = {alpha:g} and β = {beta:g} the divergence grows without bound where a probability is small. "
                "Keep α, β and α + β at 0 or above, or raise the divergence's `temperature`."
            )
    return ""


def numbers_of(divergence: DistillationLoss | None) -> dict[str, float]:
    """Return the live numbers of a loss, such as α and β, by their names; those of losses within it by their paths."""
    if divergence is None:
        return {}
    return {name: x.item() for name, x in divergence.named_buffers() if x.dim() == 0 and x.is_floating_point()}


def first_broken_weight(network: nn.Module) -> str:
    """Return the name of the first parameter or buffer that holds NaN or inf in this process, or an empty text."""
    values: dict[str, Tensor] = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return next((name for name, value in values.items() if not bool(_is_finite(value))), "")


def _is_finite(value: Tensor) -> Tensor:
    # A mask among the buffers holds -inf.
    part = local_part(value.detach())
    return (part.isfinite() | part.isneginf()).all() if part.is_floating_point() else torch.ones((), dtype=torch.bool)


def _is_half(network: nn.Module, precision: str) -> bool:
    weights = next((p.dtype for p in network.parameters() if p.is_floating_point()), torch.float32)
    return weights == torch.float16 or precision.startswith("16")
