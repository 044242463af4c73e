"""The labels that a data set lists, as one tensor."""

from collections.abc import Sequence

import torch
from torch import Tensor

# The label that losses and metrics of torch ignore by default, their `ignore_index`.
UNLABELLED = -100


def read_labels(targets: Sequence[int] | Tensor, num_classes: int) -> Tensor:
    """Read the labels of a data set: whole numbers of any dtype, or probabilities of the classes.

    Args:
        targets: Class of every sample, shape (N,) or (N, 1), or floats of shape (N, C).
        num_classes: Number C of classes.

    Returns:
        int64 labels of shape (N,), or the probabilities as float32, shape (N, C).

    Raises:
        TypeError: If they are no numbers.
        ValueError: If they have another shape, are not whole, or lie outside the classes.

    Example:
        >>> read_labels(torch.tensor([[1.0], [0.0]]), 2)
        tensor([1, 0])
    """
    labels = _numbers(targets)
    if labels.dim() == 2 and labels.shape[1] == 1 != num_classes:
        labels = labels.squeeze(1)
    if labels.dim() == 2 and labels.shape[1] == num_classes:
        return labels.to(torch.float32)
    if labels.dim() != 1:
        raise ValueError(
            f"Labels in `targets` should have the shape (N,), or (N, {num_classes}) for a probability of each class. "
            f"Found {tuple(labels.shape)}."
        )
    whole = labels.to(torch.int64)
    if labels.is_floating_point():
        _check(labels, whole == labels, "be whole numbers")
    in_range = (whole == UNLABELLED) | (whole >= 0) & (whole < num_classes)
    _check(whole, in_range, f"lie between 0 and {num_classes - 1}, because there are {num_classes} classes")
    return whole


def class_of(labels: Tensor) -> Tensor:
    """Return the class of each sample, shape (N,); of probabilities (N, C) the likeliest one."""
    return labels if labels.dim() == 1 else labels.argmax(1)


def _numbers(targets: Sequence[int] | Tensor) -> Tensor:
    try:
        if not isinstance(targets, Tensor) and len(targets) and isinstance(targets[0], Tensor):
            return torch.stack(list(targets))
        return torch.as_tensor(targets)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"Labels in `targets` should be a tensor or a list of numbers. Found {type(targets).__name__}: {error}"
        ) from error


def _check(labels: Tensor, right: Tensor, wanted: str) -> None:
    if not right.all():
        place = int((~right).nonzero()[0])
        raise ValueError(f"Labels in `targets` should {wanted}. Found {labels[place].item()} at position {place}.")
