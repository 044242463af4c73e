"""Labels of any form that says the same: read as class indices, or as probabilities of the classes."""

from collections.abc import Mapping

import torch
from torch import Tensor

import lightning_abkd.training._checks as checks
from lightning_abkd.training._log_once import LogOnce

IGNORED = checks.IGNORED
# Largest distance of a row's sum from 1, by the digits of its dtype.
_TOLERANCE = {torch.float16: 1e-2, torch.bfloat16: 1e-2}


def read_labels(labels: Tensor, logits: Tensor, check: bool = False) -> Tensor:
    """Read labels as what they say about positions with logits (..., C).

    The shape decides, never the values: (...) and (..., 1) are class indices of any dtype, as whole numbers; (..., C)
    are rows that sum to 1, one-hot of integers or booleans, or probabilities of floating dtype (mixup, cutmix, label
    smoothing). -100 as a class index does not count.

    Args:
        labels: Labels of the positions.
        logits: Shape (..., C).
        check: Whether the values are checked too, which waits for the device.

    Returns:
        Class indices (...), int64, or probabilities (..., C) in float32 or wider.

    Raises:
        ValueError: If the shape fits neither, or if `check` and a value is no class, no whole number or no probability.
        TypeError: If the dtype is complex.

    Example:
        >>> logits = torch.zeros(2, 3)
        >>> read_labels(torch.tensor([[0], [2]], dtype=torch.uint8), logits)
        tensor([0, 2])
        >>> read_labels(torch.tensor([[0, 1, 0], [0, 0, 1]]), logits)
        tensor([1, 2])
        >>> read_labels(torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]), logits).shape
        torch.Size([2, 3])
    """
    positions = logits.shape[:-1]
    classes = logits.shape[-1]
    if labels.dtype.is_complex:
        raise TypeError(f"Labels should be whole numbers or probabilities. {_found(labels)}")
    if labels.shape == (*positions, 1):
        labels = labels.squeeze(-1)
    if labels.shape == positions:
        return _class_indices(labels.to(logits.device), classes, check)
    if labels.shape == logits.shape:
        return _probabilities(labels.to(logits.device), check)
    second = _has_classes_second(logits, labels)
    advice = " Classes are the last axis: let the networks return `logits.movedim(1, -1)`." if second else ""
    raise ValueError(
        f"Labels should be class indices of shape {tuple(positions)}, or probabilities of shape {tuple(logits.shape)}, "
        f"because the student's logits have that shape. {_found(labels)}{advice}"
    )


def target_of(signals: Mapping[str, Tensor]) -> Tensor:
    """Return the class indices that metrics compare with: of probabilities the largest; -100 where a mask is False."""
    logits = signals["student_logits"]
    labels = read_labels(signals["labels"], logits)
    target = labels.argmax(-1) if labels.is_floating_point() else labels
    return with_ignored(target, signals.get("mask"))


def with_ignored(indices: Tensor, mask: Tensor | None) -> Tensor:
    """Return class indices with -100 where a mask is False."""
    return indices if mask is None else indices.masked_fill(~mask, IGNORED)


def has_ignored(labels: Tensor) -> bool:
    """Return True if some class index does not count; this waits for the device."""
    return not labels.is_floating_point() and bool((labels == IGNORED).any())


def _counts_nothing(labels: Tensor) -> bool:
    return not labels.is_floating_point() and labels.numel() > 0 and bool((labels == IGNORED).all())


def _has_classes_second(logits: Tensor, labels: Tensor) -> bool:
    """Return True if labels (B, …) fit logits (B, C, …), as in torch's own cross-entropy."""
    return logits.dim() > 2 and labels.shape == logits.shape[:1] + logits.shape[2:]


def _found(labels: Tensor) -> str:
    return f"Found {_described(labels)}."


def _described(labels: Tensor) -> str:
    return f"labels of shape {tuple(labels.shape)} and dtype {str(labels.dtype).removeprefix('torch.')}"


def _class_indices(labels: Tensor, classes: int, check: bool) -> Tensor:
    if labels.dtype == torch.bool and classes > 2:
        raise ValueError(f"Labels of dtype bool should be of two classes. {_found(labels)} The student has {classes}.")
    if check and labels.is_floating_point():
        whole = labels.isfinite() & (labels == labels.round())
        if not bool(whole.all()):
            raise ValueError(
                f"Labels, one for each position, should be whole numbers. Found {labels[~whole][0].item()} among "
                f"{_described(labels)}."
            )
    indices = labels.long()
    if check:
        checks.check_labels(indices, classes)
    return indices


def _probabilities(labels: Tensor, check: bool) -> Tensor:
    """Read rows over the classes; those of integers or booleans are one-hot, and become class indices."""
    soft = labels.is_floating_point()
    rows = labels.to(torch.promote_types(labels.dtype, torch.float32) if soft else torch.float32)
    if check and labels.numel():
        _check_rows(rows, labels)
    return rows if soft else rows.argmax(-1)


def _check_rows(rows: Tensor, labels: Tensor) -> None:
    sums = rows.sum(-1)
    wrong = ~((sums - 1.0).abs() <= _TOLERANCE.get(labels.dtype, 1e-3)) | ~(rows >= 0).all(-1)
    if bool(wrong.any()):
        row = rows[wrong][0]
        raise ValueError(
            "Labels with an entry for each class should be probabilities: not negative, and with the sum 1 in each "
            f"row. Found a row with the sum {row.sum().item():.6g} and the lowest entry {row.min().item():.6g}, in "
            f"{_described(labels)}."
        )


class LabelReader:
    """Reads the labels of each batch as far as somebody needs them.

    Attributes:
        found_ignored: Whether some class index of a checked batch did not count.
    """

    def __init__(self) -> None:
        self.found_ignored = False
        self._log_once = LogOnce()

    def read(self, signals: dict[str, Tensor], needed: bool, check: bool) -> dict[str, Tensor]:
        """Return the signals with labels that are read, or without those that cannot be read and are not needed.

        Args:
            signals: Named tensors, perhaps with labels.
            needed: Whether a loss takes the labels. Otherwise only metrics do, for which labels that are no class of
                the student do not count.
            check: Whether the values are checked too, which waits for the device.

        Raises:
            ValueError: If labels are needed and cannot be read.
            TypeError: If labels are needed and have a dtype that no label has.
        """
        if "labels" not in signals:
            return signals
        try:
            labels = _read(signals, needed, check)
        except (ValueError, TypeError) as error:
            if needed or _has_classes_second(signals["student_logits"], signals["labels"]):
                raise
            self._log_once(f"Labels are left out, because no loss takes them and they cannot be read. {error}")
            return {name: value for name, value in signals.items() if name != "labels"}
        if check:
            self.found_ignored = self.found_ignored or has_ignored(labels)
            self._say_if_none_counts(labels, needed and "mask" not in signals)
        return signals | {"labels": labels}

    def _say_if_none_counts(self, labels: Tensor, matters: bool) -> None:
        if matters and self.found_ignored and _counts_nothing(labels):
            self._log_once(f"All labels of a batch are {IGNORED}, so that its task loss is 0. Check the data set.")


def _read(signals: Mapping[str, Tensor], needed: bool, check: bool) -> Tensor:
    """Read labels; those under a mask may be anything."""
    labels = signals["labels"]
    logits = signals["student_logits"]
    read = read_labels(labels, logits)
    # Rows over the classes are checked even if they are not needed: it takes them all to say what they mean.
    if check and (needed or labels.shape == logits.shape):
        mask = signals.get("mask", ...)
        # Of the logits only the shape is read; those that lie on several processes cannot be indexed.
        logits = read.new_empty(()).expand(logits.shape)
        read_labels(labels[mask], logits[mask], check=True)
    if not (needed or read.is_floating_point()):
        read = _classes_alone(read, labels, logits.shape[-1])
    return read if read.is_floating_point() else with_ignored(read, signals.get("mask"))


def _classes_alone(read: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Let indices not count that are no class, or were read from numbers that are not whole."""
    outside = (read < 0) | (read >= classes)
    if labels.is_floating_point():
        outside |= labels.reshape(read.shape).to(read.device) != read
    return read.masked_fill(outside, IGNORED)
