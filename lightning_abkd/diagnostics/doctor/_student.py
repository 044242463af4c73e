"""What is trained, and what a checkpoint holds."""

from collections.abc import Mapping
from itertools import chain

from torch import Tensor, nn

from lightning_abkd.diagnostics.doctor._cost import bytes_as_text
from lightning_abkd.diagnostics.doctor._finding import Finding, green, not_checked, red
from lightning_abkd.training import tensors_in

_NAME_OF_TRAINED = "parameters trained"
_NAME_OF_CHECKPOINT = "teacher bytes in a checkpoint"


def trained(student: nn.Module) -> Finding:
    """Count the parameters that are trained; a frozen student is red."""
    count = sum(parameter.numel() for parameter in student.parameters())
    free = sum(parameter.numel() for parameter in student.parameters() if parameter.requires_grad)
    if not free:
        return red(
            _NAME_OF_TRAINED,
            f"Frozen student: none of its {count:,} parameters is trained.",
            "Set `requires_grad` of the student's weights, or of adapters in it (`lightning_abkd.models.lora`).",
        )
    return green(_NAME_OF_TRAINED, f"{free:,} of {count:,} ({100 * free / count:.3g} %)")


def frozen_by_its_code() -> Finding:
    """Build the red line of a student that no gradient reaches."""
    return red(
        _NAME_OF_TRAINED,
        "Frozen student: no gradient reaches its parameters in the backward pass.",
        "Let its `forward` run without `torch.no_grad()` and `detach()`.",
    )


def teacher_bytes(checkpoint: Mapping[str, object], student: nn.Module, teacher: nn.Module | None) -> Finding:
    """Count the bytes of a checkpoint, before it is written, that are the teacher's."""
    if teacher is None:
        return not_checked(_NAME_OF_CHECKPOINT, "the module has no teacher")
    theirs = {_storage(value) for value in chain(teacher.parameters(), teacher.buffers())}
    theirs -= {_storage(value) for value in chain(student.parameters(), student.buffers())}
    sizes: dict[int, int] = {}
    found = 0
    for value in tensors_in(checkpoint):
        sizes[_storage(value)] = value.untyped_storage().nbytes()
    found = sum(size for place, size in sizes.items() if place in theirs)
    whole = bytes_as_text(sum(sizes.values()))
    if found:
        return red(
            _NAME_OF_CHECKPOINT,
            f"Teacher in the checkpoint: {bytes_as_text(found)} of {whole} are the teacher's.",
            "Do not keep the teacher as an attribute of the module or of its loss; `module.teacher` is enough.",
        )
    return green(_NAME_OF_CHECKPOINT, f"0 of {whole}")


def _storage(value: Tensor) -> int:
    return value.untyped_storage().data_ptr()
