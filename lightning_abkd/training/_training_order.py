"""The order of training samples: the same for one seed and epoch, so that a run that goes on sees what it would have.

Lightning draws a new order in each epoch from whatever state torch's generator has then, and starts an epoch that it
resumes in the middle at its first batch.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.trainer.states import TrainerFn
from torch.utils.data import DataLoader, Dataset, DistributedSampler, RandomSampler
from torch.utils.data.dataloader import _BaseDataLoaderIter

from lightning_abkd.training._generators import seeded
from lightning_abkd.training._lightning import data_ranks
from lightning_abkd.training._lightning_loops import epoch_and_batches
from lightning_abkd.training._loading import LoadedSafely

T_co = TypeVar("T_co", covariant=True)


class _Positions(Dataset[int]):
    """The positions of as many samples."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> int:
        return index


class SeededIndex(int):
    """Position of a sample with the seed of its augmentation, which reaches the process that loads it."""

    seed: int = 0

    @classmethod
    def of(cls, index: int, seed: int) -> "SeededIndex":
        """Build the position of a sample with its seed."""
        seeded = cls(index)
        seeded.seed = seed
        return seeded


def seeded_augmentation(index: int) -> AbstractContextManager[None]:
    """Let what torch, Python and NumPy draw meanwhile follow from the seed of a position, if it has one."""
    return seeded(index.seed) if isinstance(index, SeededIndex) else nullcontext()


class ResumableData(LoadedSafely, LightningDataModule):
    """Data module whose training order follows from a seed and the epoch, and whose checkpoints hold the seed."""

    _order_seed: int | None = None
    _begun_epoch: int | None = None

    def setup(self, stage: str) -> None:
        """Forget the order of an earlier fit."""
        if stage == "fit":
            self._order_seed = None
            self._begun_epoch = None

    def state_dict(self) -> dict[str, int]:
        """Save the seed of the order."""
        return {} if self._order_seed is None else {"order_seed": self._order_seed}

    def load_state_dict(self, state_dict: Mapping[str, int]) -> None:
        """Go on in the order of a checkpoint."""
        self._order_seed = state_dict.get("order_seed")

    @property
    def is_fitted(self) -> bool:
        """Whether a trainer fits with these data."""
        return self.trainer is not None and self.trainer.state.fn == TrainerFn.FITTING

    def order_seed(self) -> int:
        """Draw the seed of the order, as torch's sampler does in each epoch; that of the fit's first epoch stays."""
        if self._order_seed is None:
            # One draw was the iterator's, which now has a generator of its own: a seed keeps its order.
            drawn = int(torch.empty(2, dtype=torch.int64).random_()[1]) % 2**62
            self._order_seed = drawn if self.trainer is None else int(self.trainer.strategy.broadcast(drawn))
        return self._order_seed

    def begin_epoch(self, epoch: int) -> bool:
        """Return True the first time that an epoch of the fit begins."""
        first = epoch != self._begun_epoch
        self._begun_epoch = epoch
        return first

    def training_order(self, size: int, batch_size: int, augments: bool) -> "TrainingOrder":
        """Build the order of a training set for batches of a size.

        Args:
            size: Number of training samples.
            batch_size: Samples per batch.
            augments: Whether each sample gets a seed for its augmentation, too.
        """
        return TrainingOrder(self, size, batch_size, augments)


class TrainingOrder(DistributedSampler[int]):
    """Shuffled positions of a training set, those of a rank and, after a resume, those that are left of the epoch.

    Lightning replaces any other sampler where there are several ranks. Without a fit it draws anew in each epoch, as
    torch's own sampler does.
    """

    def __init__(self, data: ResumableData, size: int, batch_size: int, augments: bool) -> None:
        replicas, rank = data_ranks(data.trainer) if data.trainer is not None and data.is_fitted else (1, 0)
        super().__init__(_Positions(size), num_replicas=replicas, rank=rank)
        self._data = data
        self._size = size
        self._batch_size = batch_size
        self._augments = augments

    def generator(self) -> torch.Generator | None:
        """Return a generator for the processes that load the data, so that they take nothing of torch's own."""
        if self._data.trainer is None or not self._data.is_fitted:
            return None
        epoch, _ = epoch_and_batches(self._data.trainer)
        return torch.Generator().manual_seed(self._data.order_seed() + epoch)

    def __iter__(self) -> Iterator[int]:
        if self._data.trainer is None or not self._data.is_fitted:
            yield from RandomSampler(range(self._size))
            return
        self.seed = self._data.order_seed()
        self.epoch, taken = epoch_and_batches(self._data.trainer)
        # Training that takes batches of an epoch which this process did not begin goes on in the middle of it.
        seen = taken if self._data.begin_epoch(self.epoch) else 0
        left = list(super().__iter__())[seen * self._batch_size :]
        seeds = self._seeds() if self._augments else []
        yield from (SeededIndex.of(index, seeds[index]) for index in left) if seeds else left

    def _seeds(self) -> list[int]:
        """Draw a seed for each sample and epoch."""
        # Another stream than that of the order, which torch seeds by the sum of seed and epoch.
        generator = torch.Generator().manual_seed(self.seed + 2**62 + self.epoch)
        return torch.randint(2**62, (self._size,), generator=generator).tolist()


class ResumableLoader(DataLoader[T_co]):
    """Loader that asks for its order when the first batch is drawn: only then does a resumed trainer know where it is.

    It has a state in the sense of Lightning, which would otherwise warn that it cannot be resumed within an epoch. The
    state is empty, because the order finds its place by the trainer.
    """

    def __iter__(self) -> _BaseDataLoaderIter:
        return _Later(self._begin)

    def _begin(self) -> _BaseDataLoaderIter:
        if isinstance(self.sampler, TrainingOrder):
            self.generator = self.sampler.generator()
        return super().__iter__()

    def state_dict(self) -> dict[str, int]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, int]) -> None:
        """Do nothing."""


class _Later(_BaseDataLoaderIter):
    """Iterator that begins with its first batch."""

    def __init__(self, begin: Callable[[], _BaseDataLoaderIter]) -> None:
        self._begin = begin
        self._begun: _BaseDataLoaderIter | None = None

    def __next__(self) -> object:
        if self._begun is None:
            self._begun = self._begin()
        return next(self._begun)
