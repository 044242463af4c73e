"""Checks of networks, batches and signals. Their errors say what was found and what to do."""

from collections.abc import Mapping, Sequence

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from lightning_abkd.losses import DistillationLoss
from lightning_abkd.training._lightning import callbacks_of

_CHECK_INTERVAL = 50
IGNORED = -100
_PROVIDERS = {
    "teacher_logits": "Give the module a `teacher`.",
    "labels": "Let the batch be (inputs, labels).",
    "index": "Let the batch be (inputs, labels, index): set `return_index` of the data module.",
    **dict.fromkeys(
        ("student_logits_strong", "teacher_logits_strong"),
        "Let the inputs be a pair (weak, strong): set `two_views` of the data module.",
    ),
    **{
        name: f"Set the module's `{name}` to the path of a submodule, or take a network that has `forward_features`. "
        "Override `signals` for any other."
        for name in ("student_features", "teacher_features")
    },
}


def is_watched(device: torch.device, batch_idx: int) -> bool:
    """Return True if a batch is checked: each on a CPU, every 50th on a GPU, because a check waits for it."""
    return device.type == "cpu" or batch_idx % _CHECK_INTERVAL == 0


def check_networks(teacher: nn.Module | None, student: nn.Module | None) -> nn.Module:
    """Return the student; raise TypeError if there is none, ValueError if it is the teacher itself."""
    if not isinstance(student, nn.Module):
        raise TypeError(
            f"Parameter `student` should be a network. Found `student = {student!r}`. "
            "Pass one, also to `load_from_checkpoint` for a module that was built in Python."
        )
    if teacher is student:
        raise ValueError("Teacher and student should be two networks. Found one object; pass a copy as the student.")
    return student


def logits_of(output: object, network: str) -> Tensor:
    """Return the logits of a network's output: a tensor, or an object with `.logits`.

    Raises:
        TypeError: If the output is neither.
    """
    logits = getattr(output, "logits", output)
    if not isinstance(logits, Tensor):
        raise TypeError(
            f"The {network} should return a tensor of logits or an object with `.logits`. "
            f"Found {type(logits).__name__}. "
            "Override `signals` for a network of another kind."
        )
    return logits


def check_signals(loss: DistillationLoss, provided: Sequence[str] | Mapping[str, object]) -> None:
    """Raise ValueError if the loss asks for a signal that is not provided."""
    for name in loss.required_signals:
        if name not in provided:
            advice = _PROVIDERS.get(
                name, f"Override `signals` in a subclass of the module to add {name!r} to its result."
            )
            raise ValueError(
                f"{type(loss).__name__} asks for the signal `{name}`. Found only {', '.join(sorted(provided))}. "
                + advice
            )


def check_channels(network: nn.Module, inputs: Tensor, name: str, error: RuntimeError) -> None:
    """Raise ValueError, from the network's own error, if its first convolution takes another number of channels."""
    found = next(((path, x) for path, x in network.named_modules() if isinstance(x, nn.Conv2d)), None)
    if found is None or not isinstance(inputs, Tensor) or inputs.dim() != 4 or inputs.shape[1] == found[1].in_channels:
        return
    raise ValueError(
        f"Images should have as many channels as the {name}'s first convolution `{found[0]}` takes, "
        f"{found[1].in_channels}. Found images of shape {tuple(inputs.shape)}. "
        f"Build the network for {inputs.shape[1]} channels (`in_channels`), or convert the images."
    ) from error


def check_dtype(network: nn.Module, inputs: Tensor, name: str, error: RuntimeError) -> None:
    """Raise ValueError, from the network's own error, if inputs and weights have two dtypes."""
    weights = next((parameter.dtype for parameter in network.parameters() if parameter.is_floating_point()), None)
    if weights is None or inputs.dtype == weights or "type" not in str(error):
        return
    raise ValueError(
        f"Inputs should have the dtype of the {name}'s weights, {weights}. "
        f"Found inputs of shape {tuple(inputs.shape)} and dtype {inputs.dtype}. "
        "Convert them in the data set, images by `v2.ToDtype(torch.float32, scale=True)`, or set `trainer.precision`."
    ) from error


def check_classes_last(signals: Mapping[str, Tensor], inputs: Tensor) -> None:
    """Raise ValueError if a network answers to images (B, C, H, W) by maps whose classes are not the last axis.

    Softmax over a width would go unnoticed where no label has to fit.
    """
    size = inputs.shape[2:]
    for name, logits in signals.items():
        maps = "_logits" in name and logits.dim() == inputs.dim() == 4
        if maps and logits.shape[2:] == size and logits.shape[1:3] != size:
            raise ValueError(
                f"Logits should have the classes as the last axis, (B, H, W, C). Found `{name}` of shape "
                f"{tuple(logits.shape)} for images of shape {tuple(inputs.shape)}. "
                "Let the network return `logits.movedim(1, -1)`, or override `signals`."
            )


def check_labelled(signals: Mapping[str, object]) -> None:
    """Raise ValueError if there are no labels."""
    if "labels" not in signals:
        raise ValueError(
            f"The task loss asks for the signal `labels`. Found only {', '.join(sorted(signals))}. "
            "Let the batch be (inputs, labels) with labels as a tensor, or set `task_weight` to 0 to learn from the "
            "teacher alone."
        )


def check_labels(labels: Tensor, classes: int) -> None:
    """Raise ValueError if a label is neither a class index nor -100; this waits for the device."""
    if not labels.numel() or all(0 <= int(bound) < classes for bound in labels.aminmax()):
        return
    counted = labels[labels != IGNORED]
    if counted.numel() and (int(counted.min()) < 0 or int(counted.max()) >= classes):
        advice = "Give the student an output for each class."
        if int(counted.min()) < 0:
            advice = f"Where there is no label, set {IGNORED}."
        raise ValueError(
            f"Labels should lie between 0 and {classes - 1}, because the student has {classes} classes. "
            f"Found labels from {int(counted.min())} to {int(counted.max())}, of shape {tuple(labels.shape)}. {advice} "
            f"The first wrong one is {_first_outside(labels, classes)}."
        )


def _first_outside(labels: Tensor, classes: int) -> str:
    """Return the place of the first label that is neither a class nor -100, sample first."""
    outside = ((labels < 0) | (labels >= classes)) & (labels != IGNORED)
    place = outside.nonzero()[0].tolist()
    position = f", position {', '.join(map(str, place[1:]))}" if place[1:] else ""
    return f"{int(labels[tuple(place)])} at sample {place[0]}{position}"


def check_own_labels(labels: Tensor | None, logits: Tensor) -> None:
    """Raise ValueError if whole labels, one for each position, are no class indices; labels of other kinds may be any.

    This is for modules with a task loss of their own. It waits for the device.
    """
    if labels is None or labels.is_floating_point() or labels.dtype in (torch.bool, torch.complex64, torch.complex128):
        return
    if labels.numel() == logits.shape[:-1].numel():
        check_labels(labels, logits.shape[-1])


def check_all_labelled(loss: DistillationLoss, signals: Mapping[str, Tensor]) -> None:
    """Raise ValueError if a loss needs a label of each position and some have none; this waits for the device."""
    if "labels" not in loss.required_signals or "labels" not in signals or "mask" in signals:
        return
    labels = signals["labels"]
    if not labels.is_floating_point() and bool((labels < 0).any()):
        raise ValueError(
            f"{type(loss).__name__} should have a label for every sample. Found {int((labels < 0).sum())} of "
            f"{labels.numel()} samples with the label {int(labels.min())}, which does not count. Leave these samples "
            "out, or take a loss that needs no labels."
        )


def check_learns(
    divergence: DistillationLoss | None, task_weight: float, distillation_weight: float, trainer: Trainer
) -> None:
    """Raise ValueError at the start of a fit if no term of the loss has a weight, nor a scheduler that gives it one."""
    weights = {"task_weight": task_weight, "distillation_weight": 0.0 if divergence is None else distillation_weight}
    scheduled = {name for callback in callbacks_of(trainer) for name in getattr(callback, "paths", ())}
    if not any(weights.values()) and not scheduled & set(weights):
        raise ValueError(
            "Some term of the loss should have a weight. Found `task_weight = 0` and "
            + ("no divergence." if divergence is None else "`distillation_weight = 0`.")
            + " Give the module a teacher and a divergence, or set `task_weight`."
        )
