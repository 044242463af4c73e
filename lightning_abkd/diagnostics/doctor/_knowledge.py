"""What the teacher knows of the data, and where its mistakes come from."""

import math
from typing import NamedTuple

from torch import Tensor

from lightning_abkd.diagnostics.doctor._answers import Answers
from lightning_abkd.diagnostics.doctor._class_order import ClassOrder, other_order
from lightning_abkd.diagnostics.doctor._finding import Finding, green, not_checked, red
from lightning_abkd.diagnostics.doctor._normalisation import (
    Preparation,
    better_preparation,
    channel_means,
    image_inputs,
    is_standard,
)
from lightning_abkd.diagnostics.doctor._patient import Patient, is_text
from lightning_abkd.training import describe_ignorance, is_chance

_FEWEST_TOKENS = 100
_CURE_OF_INPUTS = (
    "Prepare the inputs as in the teacher's own training: the same mean and deviation, range and order of channels in "
    "the data module's transform."
)
_CURE_OF_ORDER = (
    "Sort the classes of the data as the teacher's training had them (names of folders, `class_names`), or reorder the "
    "rows of its last layer."
)
_CURE_OF_UNTRAINED = "See that it loads its checkpoint (`load_pretrained`), and measure it: `abkd validate`."


def knowledge(patient: Patient, found: Answers | None) -> Finding:
    """Measure the teacher's own accuracy, or its perplexity on text, and say where its mistakes come from."""
    if patient.teacher is None:
        return not_checked("teacher knowledge", "the module has no teacher")
    if found is None:
        return not_checked("teacher knowledge", "the batches have no labels that are classes of the teacher")
    if is_text(found.batches[0]):
        return _perplexity(found)
    return _accuracy(patient, found)


def _perplexity(found: Answers) -> Finding:
    name = "teacher perplexity"
    perplexity = math.exp(min(found.cross_entropy, 700.0))
    said = (
        f"{perplexity:.4g} on {len(found):,} {found.source} tokens; {found.classes:,} equal ids have {found.classes:,}"
    )
    values = {"teacher_entropy": found.entropy, "teacher_perplexity": perplexity}
    if ignorance := describe_ignorance(values, found.classes, len(found)):
        return red(
            name,
            f"Teacher no better than chance: {ignorance}. Either it is not trained, or its tokenizer is another one.",
            "See that it loads its weights, and that the data's `tokenizer` is the teacher's.",
        )
    if len(found) < _FEWEST_TOKENS:
        return not_checked(name, f"{len(found)} {found.source} tokens say too little ({perplexity:.4g})")
    return green(name, said)


def _accuracy(patient: Patient, found: Answers) -> Finding:
    name = "teacher accuracy"
    if preparation := better_preparation(patient, found):
        return red(name, _of_preparation(preparation, image_inputs(patient, found.batches[0])), _CURE_OF_INPUTS)
    if order := other_order(found.predicted, found.labels, found.classes):
        return red(name, _of_order(order), _CURE_OF_ORDER)
    said = f"{found.accuracy:.3f} on {len(found):,} {found.source} samples; chance is {1 / found.classes:.3g}"
    is_enough = is_chance(1.0 / found.classes, found.classes, len(found))
    if is_chance(found.accuracy, found.classes, len(found)) or (is_enough and _guesses(found)):
        values = {"teacher_accuracy": found.accuracy, "teacher_entropy": found.entropy}
        why = describe_ignorance(values, found.classes, len(found)) or said
        cause = _likelier_cause(image_inputs(patient, found.batches[0]))
        return red(name, f"Teacher no better than chance: {why}. {cause.what}", cause.cure)
    if _guesses(found):
        return not_checked(name, f"{len(found)} {found.source} samples of {found.classes} classes say too little")
    return green(name, said)


def _guesses(found: Answers) -> bool:
    """Return True if a teacher is not right more often than guesses are in 98 of 100 cases."""
    chance = 1.0 / found.classes
    return found.accuracy - chance <= 2.0 * math.sqrt(chance * (1.0 - chance) / len(found))


def _of_preparation(better: Preparation, inputs: Tensor | None) -> str:
    given = "" if inputs is None else channel_means(inputs)
    return (
        f"Wrong image normalisation: the teacher is right in {better.accuracy_as_given:.3f} of the samples as they "
        f"come (channels {given}; loss {better.loss_as_given:.3g}), in {better.accuracy:.3f} with inputs {better.name} "
        f"(loss {better.loss:.3g})."
    )


def _of_order(order: ClassOrder) -> str:
    pairs = ", ".join(f"{theirs} is {ours}" for theirs, ours in list(order.moved.items())[:4])
    more = ", …" if len(order.moved) > 4 else ""
    return (
        f"Permuted classes: the teacher is right in {order.accuracy_as_given:.2f} of the samples, in "
        f"{order.accuracy:.2f} with its classes renumbered (its {pairs}{more})."
    )


class _Cause(NamedTuple):
    """What is likely wrong, and what to do."""

    what: str
    cure: str


def _likelier_cause(inputs: Tensor | None) -> _Cause:
    """Say which cause is likelier where no preparation and no order of classes helps."""
    if inputs is None or is_standard(inputs):
        what = (
            "Its inputs look right and no renumbering of its classes helps: it is likely not trained, or the labels "
            "are not those of the inputs."
        )
        return _Cause(what, f"{_CURE_OF_UNTRAINED} Look at a few samples with their labels.")
    return _Cause(
        f"Its inputs are not standardised (channels {channel_means(inputs)}): a wrong image normalisation is likelier "
        "than permuted classes, unless it is not trained.",
        f"{_CURE_OF_INPUTS} {_CURE_OF_UNTRAINED}",
    )
