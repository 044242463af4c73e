"""Whether the teacher answers better to inputs that are prepared otherwise."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_abkd.diagnostics.doctor._answers import Answers
from lightning_abkd.diagnostics.doctor._patient import Patient, is_text, size_of, without_gradient
from lightning_abkd.training import Batch, DistillationModule, inputs_of, views_of

_SECONDS = 6.0
_MOST_SAMPLES = 1000
_FEWEST_SAMPLES = 32
_AT_ONCE = 256
# What chance or a slightly other normalisation explains is below these: a share of the mistakes that is gone, in
# standard deviations of a paired comparison (McNemar).
_FEWER_MISTAKES = 0.3
_LEAST_DEVIATIONS = 3.0
# What counts as right about as often, and as a much lower loss.
_AS_OFTEN = 0.02
_LOWER_LOSS = 0.75
# Inputs with a mean and a deviation beyond these are not standardised.
_USUAL_MEAN = 1.0
_USUAL_DEVIATIONS = (0.3, 3.0)
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


class Preparation(NamedTuple):
    """A way to prepare the inputs; how often the teacher is right with it and as they come, and its losses."""

    name: str
    accuracy: float
    accuracy_as_given: float
    loss: float
    loss_as_given: float


class _Measured(NamedTuple):
    """Which samples the teacher is right about, and its mean cross-entropy."""

    right: Tensor
    loss: float

    @property
    def accuracy(self) -> float:
        return self.right.double().mean().item()


class _Range(NamedTuple):
    low: Tensor
    high: Tensor


def better_preparation(patient: Patient, found: Answers) -> Preparation | None:
    """Find the preparation of the inputs with which the teacher is far better; None if there is none.

    Far better is to be right far more often, or, of inputs that are not standardised at all, about as often at a much
    lower loss: networks without biases to speak of decide the same at every scale, but with wrong probabilities.
    """
    samples = _samples(patient, found)
    if samples is None:
        return None
    images, labels = samples
    given = _measured(patient, images, labels)
    better: dict[str, _Measured] = {}
    for name, change in _changes(images).items():
        changed = change(images)
        other = _measured(patient, changed, labels)
        is_cure = is_standard(changed) and not is_standard(images)
        if _knows(other, found.classes) and (_is_right_more(given, other) or (is_cure and _is_surer(given, other))):
            better[name] = other
    if not better:
        return None
    name = max(better, key=lambda each: (better[each].accuracy, -better[each].loss))
    return Preparation(name, better[name].accuracy, given.accuracy, better[name].loss, given.loss)


def _is_right_more(given: _Measured, other: _Measured) -> bool:
    gained = int((other.right & ~given.right).sum())
    lost = int((given.right & ~other.right).sum())
    fewer = gained - lost >= _FEWER_MISTAKES * int((~given.right).sum())
    return fewer and gained - lost > _LEAST_DEVIATIONS * math.sqrt(gained + lost)


def _is_surer(given: _Measured, other: _Measured) -> bool:
    return other.accuracy >= given.accuracy - _AS_OFTEN and other.loss < _LOWER_LOSS * given.loss


def _knows(measured: _Measured, classes: int) -> bool:
    """Return True if a teacher is right more often than guesses would be."""
    guesses = len(measured.right) / classes
    return int(measured.right.sum()) - guesses > 1.0 + _LEAST_DEVIATIONS * math.sqrt(guesses)


def is_standard(inputs: Tensor) -> bool:
    """Return True if inputs are as nearly all networks expect them: around 0, with a deviation near 1."""
    if not inputs.is_floating_point():
        return False
    low, high = _USUAL_DEVIATIONS
    deviation = inputs.float().std(correction=0).item()
    return abs(inputs.float().mean().item()) <= _USUAL_MEAN and low <= deviation <= high


def _samples(patient: Patient, found: Answers) -> tuple[Tensor, Tensor] | None:
    """Return inputs and labels of so many samples as there is time for; None if these are too few, or no images."""
    batches = [batch for batch in found.batches if image_inputs(patient, batch) is not None]
    most = int(min(_MOST_SAMPLES, _SECONDS / 10 / max(found.seconds, 1e-9)))
    if not batches or most < _FEWEST_SAMPLES:
        return None
    inputs = torch.cat([inputs_of(batch) for batch in batches])
    labels = torch.cat([_labels(patient, batch) for batch in batches])
    whole = len(labels) == len(inputs) >= _FEWEST_SAMPLES and bool((labels >= 0).all())
    if not inputs.is_floating_point() or not whole:
        return None
    return inputs[:most], labels[:most]


def image_inputs(patient: Patient, batch: Batch) -> Tensor | None:
    """Return the inputs of a batch of the usual form; None of text, and where a module reads its own form."""
    own = type(patient.module).signals is not DistillationModule.signals
    if is_text(batch) or (own and not isinstance(batch, list | tuple)):
        return None
    try:
        return inputs_of(batch)
    except (TypeError, ValueError):
        return None


def _labels(patient: Patient, batch: Batch) -> Tensor:
    labels = views_of(batch, training=False).signals.get("labels")
    if labels is None or len(labels) != size_of(batch):
        return torch.zeros(0, dtype=torch.int64)
    return labels.argmax(-1) if labels.dim() > 1 and labels.shape[-1] > 1 else labels.reshape(len(labels)).long()


def _measured(patient: Patient, inputs: Tensor, labels: Tensor) -> _Measured:
    """Ask the teacher about inputs, a few at a time."""
    right: list[Tensor] = []
    losses: list[Tensor] = []
    for some, theirs in zip(inputs.split(_AT_ONCE), labels.split(_AT_ONCE), strict=True):
        logits = without_gradient(patient.signals_of((some, theirs))["teacher_logits"])
        losses.append(torch.nn.functional.cross_entropy(logits, theirs.cpu(), reduction="none"))
        right.append(logits.argmax(-1) == theirs.cpu())
    return _Measured(torch.cat(right), torch.cat(losses).mean().item())


def _changes(images: Tensor) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return ways to prepare inputs, by their names."""
    span = _Range(images.amin(), images.amax())
    mean, std = _channel_statistics(images)
    changes: dict[str, Callable[[Tensor], Tensor]] = {
        "standardised per channel": lambda x: (x - mean) / std,
        "scaled to [0, 1]": lambda x: _scaled(x, span),
        "scaled to [-1, 1]": lambda x: 2 * _scaled(x, span) - 1,
        "scaled to [0, 255]": lambda x: 255 * _scaled(x, span),
    }
    if images.dim() == 4 and images.shape[1] == 3:
        changes["standardised by ImageNet's mean and deviation"] = lambda x: _by_imagenet(_scaled(x, span))
        changes["with the channels in reverse order (BGR)"] = lambda x: x.flip(1)
    return changes


def _channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each channel of (B, C, H, W), or of everything."""
    axes = [0, 2, 3] if images.dim() == 4 else list(range(images.dim()))
    return images.mean(axes, keepdim=True), images.std(axes, keepdim=True, correction=0).clamp(min=1e-6)


def channel_means(images: Tensor) -> str:
    """Write mean and deviation of each channel, at most three."""
    mean, std = (values.flatten()[:3].tolist() for values in _channel_statistics(images.float()))
    return ", ".join(f"{m:.2f} ± {s:.2f}" for m, s in zip(mean, std, strict=True))


def _scaled(images: Tensor, span: _Range) -> Tensor:
    return (images - span.low) / (span.high - span.low).clamp(min=1e-6)


def _by_imagenet(images: Tensor) -> Tensor:
    mean, std = (images.new_tensor(values).view(1, 3, 1, 1) for values in (_IMAGENET_MEAN, _IMAGENET_STD))
    return (images - mean) / std
