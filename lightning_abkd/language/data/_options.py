"""The options of a language data module in three groups that check themselves, and its files by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lightning_abkd._utils import check_at_least, check_choice, check_interval, leads_out
from lightning_abkd.language.data._columns import check_columns
from lightning_abkd.training import ResumableLoader, TrainingOrder

T = TypeVar("T")
Stage = Literal["train", "validation", "test"]
Turns = Literal["last", "every"]


class _Rows(Dataset[T]):
    """A list as a data set of torch."""

    def __init__(self, rows: Sequence[T]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> T:
        return self.rows[index]


@dataclass(frozen=True)
class Loading:
    """How samples become batches; the arguments are those of `InstructionDataModule`."""

    batch_size: int
    num_workers: int

    def __post_init__(self) -> None:
        check_at_least("batch_size", self.batch_size, 1)

    def loader(
        self,
        rows: Sequence[T],
        collate: Callable[[list[T]], dict[str, Tensor]],
        order: TrainingOrder | None = None,
    ) -> DataLoader[T]:
        """Build the loader of a set whose rows `collate` joins into batches, as they lie or in an order."""
        kind = DataLoader if order is None else ResumableLoader
        return kind(
            _Rows(rows),
            batch_size=self.batch_size,
            shuffle=False,
            sampler=order,
            num_workers=self.num_workers,
            collate_fn=collate,
            persistent_workers=self.num_workers > 0,
        )


@dataclass(frozen=True)
class Split:
    """Which samples are trained on and which are held out; the arguments are those of `InstructionDataModule`."""

    validation_fraction: float
    seed: int
    train_size: int | None

    def __post_init__(self) -> None:
        check_interval("validation_fraction", self.validation_fraction, "(0, 1)")
        if self.train_size is not None:
            check_at_least("train_size", self.train_size, 1)

    def order(self, samples: int) -> list[int]:
        """Return the positions of the samples in the order of the seed; those held out come first."""
        return torch.randperm(samples, generator=torch.Generator().manual_seed(self.seed)).tolist()

    def held_out(self, samples: int) -> int:
        """Return the number of samples to validate on: at least one, and at least one less than there are.

        Raises:
            ValueError: If there is only one sample.
        """
        if samples < 2:
            raise ValueError("Parameter `train_file` should hold at least 2 samples: one is set aside. Found 1.")
        return min(max(1, round(self.validation_fraction * samples)), samples - 1)

    def limit(self, positions: list[int]) -> list[int]:
        """Return the first `train_size` of the positions, or all, in ascending order.

        Raises:
            ValueError: If there are fewer than `train_size`.
        """
        if self.train_size is not None and self.train_size > len(positions):
            raise ValueError(
                f"Parameter `train_size` should be at most {len(positions)}, the number of training samples. "
                f"Found `train_size = {self.train_size}`."
            )
        return sorted(positions[: self.train_size])


@dataclass(frozen=True)
class Lengths:
    """How long samples may be, in tokens; the arguments are those of `InstructionDataModule`."""

    max_length: int
    max_prompt_length: int

    def __post_init__(self) -> None:
        if not 1 <= self.max_prompt_length < self.max_length:
            raise ValueError(
                "Parameters should satisfy 1 <= `max_prompt_length` < `max_length`. "
                f"Found `max_prompt_length = {self.max_prompt_length}`, `max_length = {self.max_length}`."
            )


@dataclass(frozen=True)
class Layout:
    """How files are read; the arguments are those of `InstructionDataModule`."""

    columns: dict[str, str] | None
    labelled_turns: Turns

    def __post_init__(self) -> None:
        check_columns(self.columns)
        check_choice("labelled_turns", self.labelled_turns, get_args(Turns))


def files_by_stage(
    validation_file: str | dict[str, str] | None, test_file: str | dict[str, str] | None
) -> dict[str, dict[str, str]]:
    """Return the files of a module that are not training data, by stage and name.

    Raises:
        ValueError: As `files_by_name`.
    """
    return {
        "validation": files_by_name("validation_file", validation_file),
        "test": files_by_name("test_file", test_file),
    }


def files_by_name(parameter: str, given: str | dict[str, str] | None) -> dict[str, str]:
    """Return files by name; a single file has the empty name.

    Raises:
        ValueError: If one of several has no name, there is none, or a name would lead files of results elsewhere.
    """
    if given is None:
        return {}
    if isinstance(given, str):
        return {"": given}
    if not given or "" in given:
        raise ValueError(f"Parameter `{parameter}` should name every file. Found `{parameter} = {given}`.")
    if wrong := next(filter(leads_out, given), None):
        raise ValueError(f"Parameter `{parameter}` should name files by words. Found {wrong!r}, a way elsewhere.")
    return given


def stages_of(stage: str, predict_set: Stage) -> list[Stage]:
    """Return the stages whose sets a stage of Lightning needs."""
    needed: dict[str, list[Stage]] = {
        "fit": ["train", "validation"],
        "validate": ["validation"],
        "predict": [predict_set],
    }
    return needed.get(stage, ["test"])


def source_of(stage: str, named: Mapping[str, Mapping[str, str]]) -> str:
    """Return the stage whose set a stage uses: without test files, the validation data are the test data."""
    return "validation" if stage == "test" and not named["test"] else stage


def needed_files(
    stage: str, train_file: str | None, named: Mapping[str, Mapping[str, str]], predict_set: Stage
) -> list[Path]:
    """Return the files that a stage of Lightning needs; a set without its own is a part of the training data."""
    files: list[Path] = []
    for needed in stages_of(stage, predict_set):
        source = source_of(needed, named)
        given = list(named.get(source, {}).values()) or ([] if train_file is None else [train_file])
        files.extend(map(Path, given))
    return files
