"""A warning about a teacher that knows nothing."""

import math
from collections.abc import Mapping

from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

# Fewer positions say too little.
_FEWEST = 100
# Entropy or cross-entropy, as a share of that of equal probabilities, from which a teacher knows nothing.
_NOTHING = 0.98
# ln 100: a useful teacher looks this bad once in 100 evaluations.
_EVIDENCE = math.log(100.0)
_CAUSES = (
    "Check that it loads a checkpoint, that its inputs are prepared as in its own training (normalisation, tokenizer), "
    "and that its classes have the same order."
)
_SCALE = "Its divergence teaches little then: check the scale of its logits, such as CLIP's `logit_scale`."


def warn_of_ignorance(stage: str, values: Mapping[str, Tensor], classes: int, positions: int) -> None:
    """Warn if what an evaluation measured of the teacher says that it knows nothing.

    With at least 100 positions, it does so if the mean entropy, or the mean cross-entropy on the labels, is at least
    98 % of the logarithm of the number of classes, or if the accuracy is at chance (`is_chance`). A teacher with such
    an entropy whose accuracy is not at chance knows something: the warning then is of the scale of its logits.

    Args:
        stage: What the values were measured on, such as "val".
        values: Metrics by name, among them `teacher_accuracy`, `teacher_entropy` or `teacher_perplexity`.
        classes: Number of classes.
        positions: Number of positions that they are means over.
    """
    found = {name: float(value) for name, value in values.items() if name.startswith("teacher_")}
    finding = describe_ignorance(found, classes, positions)
    if finding and _is_right(found, classes):
        rank_zero_warn(f"The teacher is right in {found['teacher_accuracy']:.3g} of {stage}, but {finding}. {_SCALE}")
    elif finding:
        rank_zero_warn(f"The teacher seems to know nothing of {stage}: {finding}. {_CAUSES}")


def _is_right(found: Mapping[str, float], classes: int) -> bool:
    """Return True if a teacher decides far better than by chance."""
    return "teacher_accuracy" in found and found["teacher_accuracy"] >= _useful(classes)


def is_chance(accuracy: float, classes: int, positions: int) -> bool:
    """Return True if an accuracy is near 1/C and the positions suffice to say so.

    A teacher counts as useful from the accuracy u: twice the chance 1/C, but at most a quarter of the way from it to 1.
    By Chernoff's bound, such a teacher has an accuracy a < u on N positions with a probability of at most
    exp(-N KL(a‖u)). It is at chance if that is at most 1 %.

    Example:
        >>> is_chance(accuracy=0.1, classes=10, positions=1000), is_chance(accuracy=0.1, classes=10, positions=20)
        (True, False)
    """
    useful = _useful(classes)
    return accuracy < useful and positions * _divergence_of_shares(accuracy, useful) >= _EVIDENCE


def _useful(classes: int) -> float:
    chance = 1.0 / classes
    return chance + min(chance, (1.0 - chance) / 4.0)


def _divergence_of_shares(a: float, b: float) -> float:
    parts = ((a, b), (1.0 - a, 1.0 - b))
    return sum(x * math.log(x / y) for x, y in parts if x > 0.0)


def describe_ignorance(found: Mapping[str, float], classes: int, positions: int) -> str:
    """Return why a teacher seems to know nothing, or "" if it does not; arguments as in `warn_of_ignorance`.

    Example:
        >>> describe_ignorance({"teacher_accuracy": 0.1}, classes=10, positions=1000)
        'its accuracy is 0.1, which is chance with 10 classes'
    """
    if positions < _FEWEST or classes < 2:
        return ""
    largest = math.log(classes)
    entropy = found.get("teacher_entropy", 0.0)
    if entropy >= _NOTHING * largest:
        return f"its {classes} classes are nearly equally probable (entropy {entropy:.3g}, at most {largest:.3g})"
    perplexity = found.get("teacher_perplexity", 1.0)
    if perplexity >= classes**_NOTHING:
        return f"its perplexity is {perplexity:.4g} with {classes} classes"
    accuracy = found.get("teacher_accuracy", 1.0)
    if is_chance(accuracy, classes, positions):
        return f"its accuracy is {accuracy:.3g}, which is chance with {classes} classes"
    return ""
