"""Labelled samples: what a data set offers, seeded choices among them, and what a loader reads."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lightning_abkd.training import seeded_augmentation
from lightning_abkd.vision.data._open_image import UnreadableImage

View = Tensor | tuple[Tensor, Tensor]
Label = int | Tensor
Sample = tuple[View, Label] | tuple[View, Label, int]


class LabelledImages(Protocol):
    """A data set of pairs (image, class) that also lists its classes in `targets`, as torchvision's do.

    Classes are whole numbers of any dtype, or rows of a probability for each class. The error for an image that cannot
    be read names its file where the data set lists `paths`, or pairs that begin with one in `samples`.

    Example:
        >>> class Plain:
        ...     targets = [0, 1]
        ...     def __getitem__(self, index):
        ...         return torch.full((1, 8, 8), 255 * index, dtype=torch.uint8), self.targets[index]
        >>> images: LabelledImages = Plain()
        >>> images[1][0].max()
        tensor(255, dtype=torch.uint8)
    """

    @property
    def targets(self) -> Sequence[int] | Tensor:
        """Class of every sample, shape (N,) or (N, 1), or the probabilities of the classes, shape (N, C)."""

    def __getitem__(self, index: int) -> tuple[object, object]:
        """Return the image, as stored, and its class."""


class UnpreparedSample(ValueError):
    """A sample whose reading or transform failed.

    Args:
        message: The sentence; the traceback that torch puts before it on its way from a worker is left out.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.rpartition(f"{type(self).__name__}: ")[2].strip())


class Samples(Dataset[Sample]):
    """Some samples of a data set, with their own labels and transform.

    Args:
        stored: The data set.
        indices: Positions in `stored`, shape (N,).
        labels: Classes of these samples, shape (N,), or their probabilities, shape (N, C), in place of the stored ones.
        transform: From a stored image to a tensor.
        return_index: Whether a sample is (image, label, position in `stored`) instead of (image, label).
        strong: From a stored image to a second view; a sample's image is then the pair (weak, strong).
    """

    def __init__(
        self,
        stored: LabelledImages,
        indices: Tensor,
        labels: Tensor,
        transform: Callable[[object], Tensor],
        return_index: bool = False,
        strong: Callable[[object], Tensor] | None = None,
    ) -> None:
        self.stored = stored
        self.indices = indices
        self.labels = labels
        self.transform = transform
        self.return_index = return_index
        self.strong = strong

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Sample:
        try:
            return self._prepared(position)
        except (UnreadableImage, MemoryError):
            raise
        except Exception as error:
            index = int(self.indices[position])
            place = file_of(self.stored, index) or f"Sample {index} of {type(self.stored).__name__}"
            raise UnpreparedSample(
                f"{place} should be readable and fit the transform. Found {type(error).__name__}: {error}"
            ) from error

    def _prepared(self, position: int) -> Sample:
        index = int(self.indices[position])
        label: Label = self.labels[position]
        if self.labels.dim() == 1:
            label = int(label)
        stored = read_sample(self.stored, index)
        with seeded_augmentation(position):
            weak = self.transform(stored)
            image: View = weak if self.strong is None else (weak, self.strong(stored))
        return (image, label, index) if self.return_index else (image, label)


def read_sample(stored: LabelledImages, index: int) -> object:
    """Return a stored image.

    Raises:
        OSError: If it cannot be read, naming its file where the data set lists it.
    """
    try:
        return stored[index][0]
    except UnreadableImage:
        raise
    except (OSError, SyntaxError) as error:  # Pillow's decoders raise both.
        place = file_of(stored, index) or f"Sample {index} of {type(stored).__name__}"
        raise UnreadableImage(f"{place} should be an image that can be read. Found {error!r}.") from error


def file_of(stored: object, index: int) -> str | None:
    """Return the file of a stored sample, where the data set lists its files as ours and torchvision's do."""
    paths = getattr(stored, "paths", None)
    if paths is not None:
        return str(paths[index])
    samples = getattr(stored, "samples", None)
    entry = samples[index] if isinstance(samples, Sequence) else None
    return str(entry[0]) if isinstance(entry, tuple) and isinstance(entry[0], str | Path) else None


class Selection(NamedTuple):
    """Indices of the chosen samples and of the others, both ascending."""

    chosen: Tensor
    others: Tensor


def stratified_split(labels: Tensor, size: int, generator: torch.Generator) -> Selection:
    """Choose exactly `size` samples so that every class keeps its share, up to one sample.

    This is systematic sampling: the samples are shuffled, ordered by class and taken at equal distances from a random
    start. Every sample has the same chance.

    Args:
        labels: Class of every sample, shape (N,).
        size: Number of samples to choose, 0 ≤ size ≤ N.
        generator: Source of the randomness.

    Returns:
        Indices of the chosen samples, shape (size,), and of the others, shape (N - size,), both ascending.

    Example:
        >>> labels = torch.tensor([0, 0, 0, 0, 1, 1])
        >>> labels[stratified_split(labels, 3, torch.Generator().manual_seed(0)).chosen]
        tensor([0, 0, 1])
    """
    count = len(labels)
    shuffled = torch.randperm(count, generator=generator)
    by_class = shuffled[labels[shuffled].argsort(stable=True)]
    start = torch.randint(max(count, 1), (1,), generator=generator)
    chosen = torch.zeros(count, dtype=torch.bool)
    if size:
        chosen[by_class[(torch.arange(size) * count + start) // size]] = True
    return Selection(chosen.nonzero().squeeze(1), (~chosen).nonzero().squeeze(1))


def noisy_labels(labels: Tensor, fraction: float, num_classes: int, generator: torch.Generator) -> Tensor:
    """Replace the labels of a fraction of the samples by another class, drawn uniformly; every class has its share.

    Args:
        labels: Class of every sample, shape (N,).
        fraction: Share of the labels to replace, in [0, 1].
        num_classes: Number of classes, at least 2 if any label is replaced.
        generator: Source of the randomness.

    Returns:
        New labels, shape (N,), of which `round(fraction · N)` differ from `labels`.

    Example:
        >>> noisy_labels(torch.zeros(4, dtype=torch.int64), 0.5, 2, torch.Generator().manual_seed(0)).sum()
        tensor(2)
    """
    changed = stratified_split(labels, round(fraction * len(labels)), generator).chosen
    noisy = labels.clone()
    if len(changed):
        shift = torch.randint(1, num_classes, changed.shape, generator=generator)
        noisy[changed] = (labels[changed] + shift) % num_classes
    return noisy


def long_tail(labels: Tensor, ratio: float, num_classes: int, generator: torch.Generator) -> Tensor:
    """Choose samples so that the sizes of the classes shrink exponentially, by `ratio` from the first to the last.

    Cui et al. 2019, arXiv 1901.05555: class c of C keeps n · ratio^(-c / (C - 1)) samples, at least one, where n is the
    size of the largest class. A class that has fewer keeps all of them.

    Args:
        labels: Class of every sample, shape (N,).
        ratio: Size of the first class divided by that of the last one, at least 1.
        num_classes: Number C of classes.
        generator: Source of the randomness.

    Returns:
        Indices of the chosen samples, ascending.

    Example:
        >>> labels = torch.arange(300) % 3
        >>> labels[long_tail(labels, 100.0, 3, torch.Generator().manual_seed(0))].bincount()
        tensor([100,  10,   1])
    """
    largest = int(labels.bincount().max())
    shuffled = torch.randperm(len(labels), generator=generator)
    kept = []
    for c in range(num_classes):
        size = max(1, round(largest * ratio ** (-c / max(1, num_classes - 1))))
        kept.append(shuffled[labels[shuffled] == c][:size])
    return torch.cat(kept).sort().values
